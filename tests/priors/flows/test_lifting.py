"""Which samples of a lifting flow are predicted from which."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfsep import priors
from tfsep.priors.flows.orderings import halving_of

SETTINGS: dict[str, Any] = {
    **{"squeeze": 2, "num_steps": 1, "sigma_range": None, "trunk": {"width": 8, "num_layers": 1}},
    **{"width": 8, "num_blocks": 1, "local_width": 4, "local_layers": 1, "local_block": 2, "dtype": "float64"},
}


@pytest.fixture(scope="module")
def flow() -> Any:
    """Two levels over sixteen samples, random weights."""
    prior: Any = priors.build("lifting", length=16, num_levels=2, **SETTINGS)
    rng = np.random.default_rng(0)
    for weight in prior.trainable_variables:
        weight.assign_add(0.2 * rng.normal(size=weight.shape))
    return prior


def changed(flow: Any, index: int) -> set[int]:
    """The latents that move with one sample."""
    x = np.random.default_rng(1).normal(size=(1, 16, 1))
    moved = x.copy()
    moved[0, index] += 0.5
    difference = np.abs(flow.encode(moved)[0] - flow.encode(x)[0])[0, :, 0]
    return set(np.flatnonzero(difference > 1e-12))


def test_an_odd_sample_moves_its_own_latent_alone(flow: Any) -> None:
    for index in (1, 7, 15):
        assert changed(flow, index) == {index}


def test_a_sample_of_the_second_level_is_an_input_of_the_first_alone(flow: Any) -> None:
    assert changed(flow, 6) == {6, *range(1, 16, 2)}


def test_samples_of_the_last_level_are_inputs_of_all(flow: Any) -> None:
    """Four samples are left for the Glow; odd ones of both levels are predicted from them across the whole frame."""
    assert changed(flow, 4) >= {*range(1, 16, 2), *range(2, 16, 4)}


def test_untrained_it_predicts_nothing() -> None:
    flow: Any = priors.build("lifting", length=16, num_levels=2, **SETTINGS)
    x = np.random.default_rng(1).normal(size=(2, 16, 1))
    z, log_det = flow.encode(x)
    odd = [index for index in range(16) if index % 4]
    np.testing.assert_allclose(z.numpy()[:, odd], x[:, odd], atol=1e-12)
    np.testing.assert_allclose(log_det, 0.0, atol=1e-9)


def test_levels_have_networks_of_their_own_frames(flow: Any) -> None:
    gains = sorted(weight.shape[-1] for weight in flow.weights if weight.shape[-1:] in ((36,), (20,)))
    assert gains == [20, 20, 36, 36]


PLANE: dict[str, Any] = {
    **{"event_shape": (4, 8, 1), "domain": "log_stft", "num_levels": 3, "squeeze": (1, 2), "num_steps": 1},
    **{"sigma_range": None, "trunk": {"width": 8, "num_layers": 1}, "width": 8, "num_blocks": 1, "dtype": "float64"},
}


@pytest.mark.parametrize(
    ("shape", "factors"),
    [((16, 1), (2,)), ((4, 8, 1), (2, 1)), ((1, 8, 1), (1, 2)), ((3, 8, 1), (1, 2)), ((6, 7, 1), (2, 1))],
)
def test_frames_are_halved_before_bins(shape: tuple[int, ...], factors: tuple[int, ...]) -> None:
    assert halving_of(shape) == factors


def test_over_a_spectrogram_each_frame_that_is_split_off_is_predicted_from_all_that_are_kept() -> None:
    """Frames 1 and 3 are split off first, then frame 2, then the odd bins of frame 0; the rest is the Glow's."""
    prior: Any = priors.build("lifting", **PLANE)
    rng = np.random.default_rng(0)
    for weight in prior.trainable_variables:
        weight.assign_add(0.2 * rng.normal(size=weight.shape))
    x = np.random.default_rng(1).normal(size=(1, 4, 8, 1))

    def moved(frame: int, index: int) -> np.ndarray:
        other = x.copy()
        other[0, frame, index] += 0.5
        return np.abs(prior.encode(other)[0] - prior.encode(x)[0])[0, ..., 0] > 1e-12

    for frame, index in ((1, 3), (3, 0)):
        np.testing.assert_array_equal(np.argwhere(moved(frame, index)), [[frame, index]])
    second = moved(2, 5)
    assert second[[1, 3]].all() and second[2].sum() == 1 and not second[0].any()
    third = moved(0, 5)
    assert third[[1, 2, 3]].all() and np.flatnonzero(third[0]).tolist() == [5]
