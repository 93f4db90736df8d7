"""The score is the gradient of the log-density, and the denoiser is Tweedie's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

Events = Callable[..., np.ndarray]
SIGMAS = [0.05, 0.5, 4.0]


@pytest.mark.parametrize("sigma", SIGMAS)
def test_the_score_is_the_automatic_gradient(prior64: Any, noise_events: Events, sigma: float) -> None:
    x = tf.constant(noise_events(prior64, 4))
    with tf.GradientTape() as tape:
        tape.watch(x)
        log_prob = prior64.log_prob(x, sigma)
    expected = tape.gradient(log_prob, x)
    np.testing.assert_allclose(prior64.score(x, sigma), expected, rtol=1e-8, atol=1e-8 / sigma**2)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_the_score_is_the_slope_of_the_density(prior64: Any, noise_events: Events, sigma: float) -> None:
    x, direction = noise_events(prior64, 4), noise_events(prior64, 4, seed=1)
    step = 1e-5 * sigma
    rise = (prior64.log_prob(x + step * direction, sigma) - prior64.log_prob(x - step * direction, sigma)) / (2 * step)
    axes = list(range(1, x.ndim))
    slope = tf.reduce_sum(prior64.score(x, sigma) * direction, axes)
    np.testing.assert_allclose(rise, slope, rtol=1e-4, atol=1e-4 / sigma)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_denoising_is_tweedies_formula(prior64: Any, noise_events: Events, sigma: float) -> None:
    x = noise_events(prior64, 4)
    expected = x + sigma**2 * prior64.score(x, sigma)
    np.testing.assert_allclose(prior64.denoise(x, sigma), expected, rtol=1e-10, atol=1e-10)


def test_both_precisions_take_arrays_of_both(prior: Any, prior64: Any, noise_events: Events) -> None:
    x = noise_events(prior, 4)
    for given in (x, x.astype(np.float32).tolist()):
        single, double = prior.denoise(given, 0.5), prior64.denoise(given, 0.5)
        assert single.dtype == tf.float32 and double.dtype == tf.float64
        np.testing.assert_allclose(single, double, rtol=1e-3, atol=1e-3)
    single, double = prior.log_prob(tf.constant(x), 0.5), prior64.log_prob(tf.constant(x, tf.float32), 0.5)
    assert single.dtype == tf.float32 and double.dtype == tf.float64
    np.testing.assert_allclose(single, double, rtol=1e-4)
