"""The score is the gradient of the log-density, and the denoiser is Tweedie's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

Events = Callable[..., np.ndarray]
SIGMAS = np.array([0.02, 0.1, 0.5, 4.0])


@pytest.fixture(scope="module")
def point(prior64: Any, noise_events: Events) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Events, one for each of SIGMAS; sigma in their rank; the score."""
    x = noise_events(prior64, len(SIGMAS))
    return x, SIGMAS.reshape((-1,) + (1,) * (x.ndim - 1)), prior64.score(x, SIGMAS).numpy()


def test_the_score_is_the_automatic_gradient(density64: Any, point: Any) -> None:
    x, column, score = point
    variable = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(variable)
        log_prob = density64.log_prob(variable, SIGMAS)
    gradient = tape.gradient(log_prob, variable)
    np.testing.assert_allclose(score * column**2, gradient * column**2, rtol=1e-8, atol=1e-8)


def test_the_score_is_the_slope_of_the_density(density64: Any, point: Any, noise_events: Events) -> None:
    x, column, score = point
    step = 1e-5 * column * noise_events(density64, len(SIGMAS), seed=1)
    rise = (density64.log_prob(x + step, SIGMAS) - density64.log_prob(x - step, SIGMAS)).numpy()
    slope = 2.0 * np.sum(score * step, axis=tuple(range(1, x.ndim)))
    np.testing.assert_allclose(rise, slope, rtol=1e-4, atol=1e-8)


def test_denoising_is_tweedies_formula(prior64: Any, point: Any) -> None:
    x, column, score = point
    np.testing.assert_allclose(prior64.denoise(x, SIGMAS), x + column**2 * score, rtol=1e-10, atol=1e-10)


def test_both_precisions_take_arrays_of_both(prior: Any, prior64: Any, noise_events: Events) -> None:
    x = noise_events(prior, 4)
    for given in (x, x.astype(np.float32).tolist()):
        single, double = prior.denoise(given, 0.5), prior64.denoise(given, 0.5)
        assert single.dtype == tf.float32 and double.dtype == tf.float64
        np.testing.assert_allclose(single, double, rtol=1e-3, atol=1e-3)
