"""The template prior against plain sums over recordings and lags, and which recordings are kept."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from scipy.special import logsumexp

from tfsep import priors
from tfsep.models import weights
from tfsep.priors.positive_amplitude import log_likelihood
from tfsep.priors.template import learn

LENGTH = 32


def sounds(num: int, seed: int = 0) -> np.ndarray:
    """Recordings (num, 2 time) of two kinds, periodic so that lags explain each other, at several loudnesses."""
    rng = np.random.default_rng(seed)
    time = np.arange(2 * LENGTH) + rng.integers(0, 8, (num, 1))
    shape = np.where(np.arange(num)[:, np.newaxis] % 2, np.sign(time % 8 - 3.5), np.sin(2.0 * np.pi * time / 16))
    return (rng.uniform(0.8, 1.0, (num, 1)) * shape).astype(np.float32)


@pytest.fixture(scope="module")
def learned() -> tuple[Any, dict[str, float]]:
    prior = priors.build("template", length=LENGTH, num_templates=4, dtype="float64")
    return prior, learn(prior, sounds(12))


def test_what_a_kept_recording_explains_is_not_kept(learned: tuple[Any, dict[str, float]]) -> None:
    prior, found = learned
    assert found["templates"] == 2.0
    np.testing.assert_array_equal(prior.recordings[:2], sounds(12)[:2])
    np.testing.assert_array_equal(prior.recordings[2:], 0.0)
    assert found["residual"] == 1e-3
    assert 0.8 < float(prior.amplitude[0]) < 1.2


def test_no_more_are_kept_than_there_is_room_for() -> None:
    prior: Any = priors.build("template", length=LENGTH, num_templates=1)
    found = learn(prior, sounds(6))
    assert found["templates"] == 1.0 and found["residual"] > 0.1


@pytest.mark.parametrize("sigma", [0.1, 1.0])
def test_is_the_sum_over_recordings_and_lags(learned: tuple[Any, dict[str, float]], sigma: float) -> None:
    prior = learned[0]
    y = prior.sample(2, (1, 2), sigma).numpy()
    log_prob, denoised = prior.log_prob(y, sigma).numpy(), prior.denoise(y, sigma).numpy()
    kept = prior.recordings.numpy()[:2]
    waves = np.array([one[lag : lag + LENGTH] for one in kept for lag in range(LENGTH + 1)])
    variance = tf.constant(sigma**2 + 1e-6, tf.float64)
    for i in range(2):
        event = tf.constant(y[i, :, 0])
        likelihood, level = log_likelihood(event, tf.constant(waves), variance, tf.convert_to_tensor(prior.amplitude))
        total = logsumexp(likelihood)
        constant = -0.5 * LENGTH * math.log(math.tau * float(variance)) - math.log(len(waves))
        np.testing.assert_allclose(log_prob[i], total + constant, rtol=1e-6)
        clean = (np.exp(likelihood - total) * level.numpy()) @ waves
        np.testing.assert_allclose(denoised[i, :, 0], event + sigma**2 / variance * (clean - event), atol=1e-5)


def test_it_denoises_what_it_has_learned(learned: tuple[Any, dict[str, float]]) -> None:
    clean = sounds(6, seed=5)[:, :LENGTH, np.newaxis]
    y = clean + 0.4 * np.random.default_rng(2).normal(size=clean.shape)
    assert np.mean((learned[0].denoise(y, 0.4) - clean) ** 2) < 0.2 * np.mean((y - clean) ** 2)


def test_without_recordings_the_source_is_silence_and_residual() -> None:
    prior: Any = priors.build("template", length=LENGTH, num_templates=3, dtype="float64")
    y = np.random.default_rng(0).normal(size=(3, LENGTH, 1))
    expected = stats.norm.logpdf(y, scale=math.hypot(0.3, 0.05)).sum((1, 2))
    np.testing.assert_allclose(prior.log_prob(y, 0.3), expected, rtol=1e-9)
    assert abs(prior.sample(64, (0, 1), 0.3).numpy().std() - math.hypot(0.3, 0.05)) < 0.02


def test_recordings_are_saved(learned: tuple[Any, dict[str, float]], tmp_path: Path) -> None:
    prior, other = learned[0], priors.build("template", length=LENGTH, num_templates=4, dtype="float64")
    weights.save(prior, tmp_path / "prior.safetensors")
    weights.load(other, tmp_path / "prior.safetensors")
    y = prior.sample(2, (1, 2), 0.3)
    np.testing.assert_array_equal(other.log_prob(y, 0.3), prior.log_prob(y, 0.3))
