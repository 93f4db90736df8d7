"""The multiscale split: a bijection that is a density of the part that leaves, given the part that stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfsep.bijectors import ActNorm, Composition, Coupling, Multiscale
from tfsep.bijectors.masks import Mask

Make = Callable[..., Any]


def identity(event_ndims: int) -> Composition:
    return Composition([], event_ndims, tf.float64)


@pytest.mark.parametrize("shape", [(3, 4), (2, 2, 4)])
def test_is_a_bijection(shape: tuple[int, ...], assert_bijective: Make, make_conditioner: Make) -> None:
    ndims = len(shape)
    inner = Composition(
        [
            ActNorm(tf.constant([0.3, -1.0], tf.float64), tf.constant([0.5, -0.4], tf.float64), ndims, tf.float64),
            Coupling(make_conditioner(1, 2, seed=4), Mask("channel"), ndims, tf.float64),
        ],
        ndims,
        tf.float64,
    )
    assert_bijective(Multiscale(inner, make_conditioner(2, 4), ndims, tf.float64), shape)


def test_is_the_normal_density_of_the_second_half_given_the_first(make_conditioner: Make, make_events: Make) -> None:
    conditioner = make_conditioner(2, 4)
    step = Multiscale(identity(2), conditioner, 2, tf.float64, bound=2.0)
    y = make_events((5, 4))
    z, log_det = step.inverse_and_log_det(y)
    normal = tfd.Normal(tf.constant(0.0, tf.float64), 1.0)
    found = tf.reduce_sum(normal.log_prob(z), [1, 2]) + log_det
    first, second = y[..., :2], y[..., 2:]
    mean, raw = tf.split(conditioner(first), 2, axis=-1)
    split = tfd.Normal(mean, tf.exp(2.0 * tf.tanh(raw / 2.0)))
    expected = tf.reduce_sum(normal.log_prob(first), [1, 2]) + tf.reduce_sum(split.log_prob(second), [1, 2])
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_density_of_two_dimensions_integrates_to_one(make_conditioner: Make) -> None:
    step = Multiscale(identity(2), make_conditioner(1, 2), 2, tf.float64, bound=1.0)
    width = 0.05
    axis = np.arange(-20.0, 20.0, width)
    grid = np.stack(np.meshgrid(np.arange(-7.0, 7.0, width), axis, indexing="ij"), -1).reshape(-1, 1, 2)
    z, log_det = step.inverse_and_log_det(tf.constant(grid))
    log_density = log_det - 0.5 * tf.reduce_sum(z**2, [1, 2]) - np.log(2.0 * np.pi)
    assert abs(float(tf.reduce_sum(tf.exp(log_density))) * width**2 - 1.0) < 1e-6


def test_the_scale_has_a_floor_and_a_ceiling(make_conditioner: Make, make_events: Make) -> None:
    wild = make_conditioner(1, 2)
    step = Multiscale(identity(2), lambda first: 1e6 * wild(first), 2, tf.float64, bound=3.0)
    assert np.all(np.abs(step.inverse_and_log_det(make_events((5, 2)))[1]) <= 15.0)


def test_bad_settings_are_refused(make_conditioner: Make, make_events: Make) -> None:
    with pytest.raises(ValueError, match="bound of a log-scale must be positive, got -1.0"):
        Multiscale(identity(2), make_conditioner(1, 2), 2, tf.float64, bound=-1.0)
    narrow = Multiscale(identity(2), make_conditioner(2, 2), 2, tf.float64)
    with pytest.raises(ValueError, match="a conditioner must give 2 x 2 channels"):
        narrow.inverse_and_log_det(make_events((5, 4)))
