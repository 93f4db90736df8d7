"""The score prior's own contract: it has a score, a denoiser and samples, and no density."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep import priors
from tfsep.errors import InputError
from tfsep.models import weights

SPECTRAL = {"domain": "log_stft", "length": 24, "front_end": {"frame_length": 16, "frame_step": 8}}
COMMON: dict[str, Any] = {"kind": "score", "sigma_range": (0.01, 8.0), "condition_width": 8, "num_sampling_steps": 4}
CASES: dict[str, dict[str, Any]] = {
    "spectral_gain": {"length": 16, "width": 8, "num_blocks": 1, "local_width": 4, "local_layers": 1},
    "retrieval": {"length": 16, "network": "retrieval", "width": 8, "num_atoms": 4},
    "short_time_gain": {
        "length": 64,
        "network": "short_time_gain",
        "frame_length": 16,
        "frame_step": 4,
        "width": 8,
        "num_blocks": 2,
    },
    "convolutions": {**SPECTRAL, "network": "convolutions", "width": 4, "num_layers": 1},
}


def build(name: str, scrambled: bool = True, **changes: Any) -> Any:
    prior = priors.build(**{**COMMON, **CASES[name], **changes})
    rng = np.random.default_rng(0)
    for weight in prior.trainable_variables if scrambled else ():
        weight.assign_add(0.2 * rng.normal(size=weight.shape))
    return prior


@pytest.fixture(scope="module", params=sorted(CASES))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def prior(name: str) -> Any:
    """Float32, random weights; read only."""
    return build(name)


@pytest.fixture(scope="module")
def x(prior: Any) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(3, *prior.event_shape)).astype(np.float32)


def test_the_denoiser_is_tweedies(prior: Any, x: np.ndarray) -> None:
    sigma = np.array([0.05, 0.5, 4.0])
    column = sigma.reshape([-1] + [1] * (x.ndim - 1))
    np.testing.assert_allclose(prior.denoise(x, sigma), x + column**2 * prior.score(x, sigma), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(prior.denoise(x, None), prior.denoise(x, prior.smallest_sigma))
    np.testing.assert_array_equal(prior.score(x), prior.score(x, prior.smallest_sigma))


def test_every_example_has_its_own_sigma_and_nothing_of_its_batch(prior: Any, x: np.ndarray) -> None:
    sigma = np.array([0.05, 0.5, 4.0], np.float32)
    alone = np.concatenate([prior.denoise(x[i : i + 1], sigma[i]) for i in range(3)])
    np.testing.assert_allclose(prior.denoise(x, sigma), alone, rtol=1e-4, atol=1e-5)
    assert np.abs(prior.denoise(x, 0.3) - prior.denoise(x, 3.0)).max() > 1e-3


def test_a_density_is_refused(prior: Any, x: np.ndarray) -> None:
    assert not prior.has_log_prob
    with pytest.raises(InputError, match="no density: it has no log_prob") as refused:
        prior.log_prob(x, 0.1)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("sigma", [0.0, -1.0, float("nan")])
def test_a_sigma_that_is_not_positive_is_refused(prior: Any, x: np.ndarray, sigma: float) -> None:
    for method in (prior.score, prior.denoise):
        with pytest.raises(ValueError, match="sigma must be positive"):
            method(x, sigma)


def test_events_of_another_shape_are_refused(prior: Any, x: np.ndarray) -> None:
    for method in (prior.score, prior.denoise):
        with pytest.raises(ValueError, match="have shape"):
            method(x[:, :-1], 0.1)


def test_the_tape_watches_exactly_the_trainable_variables(prior: Any, x: np.ndarray) -> None:
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((prior.denoise(x, 0.3) - x) ** 2)
    owned = [variable.value for variable in prior.trainable_variables]
    assert {id(each) for each in tape.watched_variables()} == {id(each) for each in owned}
    gradients = tape.gradient(loss, owned)
    assert all(np.isfinite(gradient).all() and np.abs(gradient).max() > 0.0 for gradient in gradients)
    assert [variable.name for variable in prior.non_trainable_variables] == ["data_std"]


def test_weights_survive_files_and_checkpoints(prior: Any, name: str, x: np.ndarray, tmp_path: Path) -> None:
    weights.save(prior, tmp_path / "prior.safetensors")
    place = tf.train.Checkpoint(model=prior).write(str(tmp_path / "checkpoint"))
    from_file, from_checkpoint = build(name, scrambled=False), build(name, scrambled=False)
    weights.load(from_file, tmp_path / "prior.safetensors")
    tf.train.Checkpoint(model=from_checkpoint).read(place).assert_existing_objects_matched()
    for other in (from_file, from_checkpoint):
        np.testing.assert_array_equal(other.denoise(x, 0.3), prior.denoise(x, 0.3))


@pytest.mark.slow
def test_an_exported_graph_gives_the_same_numbers(prior: Any, x: np.ndarray, tmp_path: Path) -> None:
    served = tf.Module()
    served.prior = prior
    signature = [tf.TensorSpec([None, *prior.event_shape], tf.float32), tf.TensorSpec([], tf.float32)]
    served.denoise = tf.function(prior.denoise, input_signature=signature)
    tf.saved_model.save(served, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    np.testing.assert_allclose(loaded.denoise(x, 0.3), prior.denoise(x, 0.3), rtol=1e-4, atol=1e-5)


def test_samples_are_finite_and_belong_to_their_seed(prior: Any) -> None:
    first, again, other = (prior.sample(2, seed).numpy() for seed in ((1, 2), (1, 2), (1, 3)))
    assert first.shape == (2, *prior.event_shape) and np.isfinite(first).all()
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


def test_untrained_it_is_the_best_linear_denoiser_and_samples_its_gaussian() -> None:
    """F = 0 leaves the Wiener filter of white noise, whose probability flow ends at that noise's spread."""
    prior = build("spectral_gain", scrambled=False, length=64, local_width=0, num_sampling_steps=16)
    clean = 0.3 * np.random.default_rng(0).normal(size=(64, 64, 1)).astype(np.float32)
    noise = np.random.default_rng(1).normal(size=clean.shape).astype(np.float32)
    prior.initialise(clean + 0.2 * noise, 0.2)
    std = float(prior.data_std.numpy())
    assert abs(std - 0.3) < 0.01
    np.testing.assert_allclose(prior.denoise(clean, 0.5), clean * std**2 / (std**2 + 0.25), rtol=1e-4, atol=1e-6)
    assert abs(prior.sample(64, (0, 1), 0.1).numpy().std() - np.hypot(std, 0.1)) < 0.02


def test_weighted_errors_are_those_of_the_network() -> None:
    """loss_weight (D - x)^2 = (F - target)^2 with a target of unit variance: equation 8 of Karras et al."""
    prior = build("spectral_gain", scrambled=False)
    prior.data_std.assign(0.4)
    sigma = np.array([0.02, 0.4, 3.0], np.float32)
    error = prior.denoise(np.ones((3, 16, 1), np.float32), sigma).numpy()[:, 0, 0]
    scale = sigma * 0.4 / np.sqrt(sigma**2 + 0.16)
    np.testing.assert_allclose(prior.loss_weight(sigma), scale**-2, rtol=1e-5)
    np.testing.assert_allclose(error, 0.16 / (0.16 + sigma**2), rtol=1e-5)
