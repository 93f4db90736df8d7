"""The scale of noised data, one factor per example."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep.bijectors import NoiseScale

Make = Callable[..., Any]
SIGMA = np.array([0.01, 0.5, 8.0])


def scale(data_std: float, event_ndims: int = 2, sigma: np.ndarray = SIGMA) -> NoiseScale:
    return NoiseScale(tf.constant(data_std, tf.float64), tf.constant(sigma), event_ndims, tf.float64)


@pytest.mark.parametrize("shape", [(4, 2), (2, 3, 1)])
@pytest.mark.parametrize("data_std", [0.05, 1.0, 20.0])
def test_is_a_bijection(shape: tuple[int, ...], data_std: float, assert_bijective: Make) -> None:
    assert_bijective(scale(data_std, len(shape)), shape)


def test_the_mean_is_taken_out_of_every_feature(make_events: Make, assert_bijective: Make) -> None:
    mean, y = tf.constant(np.arange(8.0).reshape(4, 2)), make_events((4, 2))
    step = NoiseScale(tf.constant(0.3, tf.float64), tf.constant(SIGMA), 2, tf.float64, mean)
    assert_bijective(step, (4, 2))
    np.testing.assert_allclose(step.inverse_and_log_det(y)[0], scale(0.3).inverse_and_log_det(y - mean)[0])


def test_takes_the_spread_out_of_noised_data() -> None:
    rng = np.random.default_rng(0)
    noised = 0.3 * rng.normal(size=(3, 100_000, 1)) + SIGMA[:, None, None] * rng.normal(size=(3, 100_000, 1))
    latents = scale(0.3).inverse_and_log_det(tf.constant(noised))[0]
    np.testing.assert_allclose(np.std(latents, axis=(1, 2)), 1.0, atol=0.01)


def test_the_log_determinant_is_the_dimension_times_the_log_scale(make_events: Make) -> None:
    log_det = scale(0.3).forward_and_log_det(make_events((4, 2)))[1]
    np.testing.assert_allclose(log_det, 8 * 0.5 * np.log(0.3**2 + SIGMA**2), rtol=1e-12)


def test_without_noise_the_scale_is_that_of_the_data(make_events: Make) -> None:
    y = make_events((4, 2))
    latents = scale(0.3, sigma=np.zeros(3)).inverse_and_log_det(y)[0]
    np.testing.assert_allclose(latents, y / 0.3, rtol=1e-12)
