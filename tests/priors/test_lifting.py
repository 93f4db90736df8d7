"""Which samples of a lifting flow are told from which."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfsep import priors

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


def changed(flow: Any, place: int) -> set[int]:
    """The latents that move with one sample."""
    x = np.random.default_rng(1).normal(size=(1, 16, 1))
    moved = x.copy()
    moved[0, place] += 0.5
    difference = np.abs(flow.encode(moved)[0] - flow.encode(x)[0])[0, :, 0]
    return set(np.flatnonzero(difference > 1e-12))


def test_an_odd_sample_moves_its_own_latent_alone(flow: Any) -> None:
    for place in (1, 7, 15):
        assert changed(flow, place) == {place}


def test_a_sample_of_the_second_level_is_heard_by_the_first_alone(flow: Any) -> None:
    assert changed(flow, 6) == {6, *range(1, 16, 2)}


def test_samples_of_the_last_level_are_heard_by_all(flow: Any) -> None:
    """Four samples are left for the Glow; odd ones of both levels are predicted from them across the whole frame."""
    assert changed(flow, 4) >= {*range(1, 16, 2), *range(2, 16, 4)}


def test_untrained_it_predicts_nothing() -> None:
    flow: Any = priors.build("lifting", length=16, num_levels=2, **SETTINGS)
    x = np.random.default_rng(1).normal(size=(2, 16, 1))
    z, log_det = flow.encode(x)
    odd = [place for place in range(16) if place % 4]
    np.testing.assert_allclose(z.numpy()[:, odd], x[:, odd], atol=1e-12)
    np.testing.assert_allclose(log_det, 0.0, atol=1e-9)


def test_levels_have_networks_of_their_own_frames(flow: Any) -> None:
    gains = sorted(weight.shape[-1] for weight in flow.weights if weight.shape[-1:] in ((36,), (20,)))
    assert gains == [20, 20, 36, 36]
