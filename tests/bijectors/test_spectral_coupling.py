"""The coupling of complex bins: a bijection, and Gaussian conditionals whose variance the noise bounds from below."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep.bijectors import SpectralCoupling

Make = Callable[..., Any]
SIGMA = np.array([0.1, 0.7, 3.0])


def predict(bins: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Shifts and log-ratios that depend on the given bins."""
    return tf.sin(bins) + 0.3 * tf.roll(bins, 1, axis=1), 2.0 * tf.cos(bins)


@pytest.mark.parametrize(("stride", "target", "given"), [(2, 1, 0), (2, 0, 1), (4, 2, 0)])
def test_is_a_bijection(stride: int, target: int, given: int, assert_bijective: Make) -> None:
    assert_bijective(SpectralCoupling(predict, stride, target, given, tf.constant(SIGMA), tf.float64), (8, 2))


def test_other_bins_stay_and_targets_are_standardised(make_events: Make) -> None:
    y = make_events((8, 2))
    latent = SpectralCoupling(predict, 4, 2, 0, tf.constant(SIGMA), tf.float64).inverse_and_log_det(y)[0]
    kept = [0, 1, 3, 4, 5, 7]
    np.testing.assert_array_equal(latent.numpy()[:, kept], y.numpy()[:, kept])
    shift, ratio = predict(y[:, ::4])
    variance = SIGMA[:, tf.newaxis, tf.newaxis] ** 2 * (1.0 + tf.exp(ratio))
    np.testing.assert_allclose(latent[:, 2::4], (y[:, 2::4] - shift) / tf.sqrt(variance), rtol=1e-10)


def test_the_conditional_is_a_normal_density_and_its_score_the_gradient(make_events: Make) -> None:
    step, y = SpectralCoupling(predict, 2, 1, 0, tf.constant(SIGMA), tf.float64), make_events((8, 2))
    with tf.GradientTape() as tape:
        tape.watch(y)
        log_prob = step.conditional_log_prob(y)
    gradient = tape.gradient(log_prob, y)
    np.testing.assert_allclose(step.conditional_score(y), gradient[:, 1::2], rtol=1e-10)
    latent, log_det = step.inverse_and_log_det(y)
    normal = -0.5 * tf.reduce_sum(latent[:, 1::2] ** 2 + np.log(2 * np.pi), [1, 2])
    np.testing.assert_allclose(log_prob, normal + log_det, rtol=1e-10)


def test_no_variance_falls_below_that_of_the_noise(make_events: Make) -> None:
    def certain(bins: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.zeros_like(bins), tf.fill(tf.shape(bins), tf.constant(-60.0, tf.float64))

    y = make_events((4, 2))
    latent = SpectralCoupling(certain, 2, 1, 0, tf.constant(SIGMA), tf.float64).inverse_and_log_det(y)[0]
    np.testing.assert_allclose(latent[:, 1::2], y[:, 1::2] / SIGMA[:, tf.newaxis, tf.newaxis], rtol=1e-12)


def test_bins_that_the_stride_does_not_divide_are_refused(make_events: Make) -> None:
    with pytest.raises(ValueError, match="must be a multiple of 4, got 6"):
        SpectralCoupling(predict, 4, 2, 0, tf.constant(SIGMA), tf.float64).inverse_and_log_det(make_events((6, 2)))
