"""Activation normalisation and the statistics it starts from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep.bijectors import ActNorm
from tfsep.bijectors.actnorm import statistics

Make = Callable[..., Any]


@pytest.mark.parametrize("shape", [(5, 3), (2, 3, 3)])
def test_is_a_bijection(shape: tuple[int, ...], assert_bijective: Make) -> None:
    shift, log_scale = tf.constant([0.3, -2.0, 5.0], tf.float64), tf.constant([0.1, -1.0, 0.7], tf.float64)
    assert_bijective(ActNorm(shift, log_scale, len(shape), tf.float64), shape)


def test_the_log_determinant_counts_positions(make_events: Make) -> None:
    log_scale = tf.constant([0.1, -1.0, 0.7], tf.float64)
    step = ActNorm(tf.zeros(3, tf.float64), log_scale, 3, tf.float64)
    np.testing.assert_allclose(step.forward_and_log_det(make_events((4, 5, 3)))[1], 20 * -0.2, rtol=1e-12)


@pytest.mark.parametrize("shape", [(50, 3), (6, 9, 3)])
def test_statistics_whiten_the_channels_of_a_batch(shape: tuple[int, ...], make_events: Make) -> None:
    y = make_events(shape) * [0.01, 1.0, 30.0] + [5.0, 0.0, -7.0]
    latents = ActNorm(*statistics(y), len(shape), tf.float64).inverse_and_log_det(y)[0].numpy()
    axes = tuple(range(latents.ndim - 1))
    np.testing.assert_allclose(latents.mean(axes), 0.0, atol=1e-10)
    np.testing.assert_allclose(latents.std(axes), 1.0, rtol=1e-10)


def test_a_constant_channel_gets_a_finite_scale() -> None:
    shift, log_scale = statistics(tf.fill((4, 8, 2), tf.constant(0.25, tf.float64)))
    np.testing.assert_allclose(shift, 0.25)
    np.testing.assert_allclose(log_scale, np.log(1e-4))
