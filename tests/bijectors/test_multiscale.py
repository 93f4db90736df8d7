"""The multiscale split: a bijection that is a density of the channels that are split off, given those that are kept."""

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


@pytest.mark.parametrize("with_network", [False, True])
def test_a_split_takes_any_channels(with_network: bool, assert_bijective: Make, make_conditioner: Make) -> None:
    """Two of six, under a learned distribution or as they are."""
    inner = ActNorm(tf.ones(4, tf.float64), tf.constant([0.5, -0.4, 0.1, 0.0], tf.float64), 2, tf.float64)
    network = make_conditioner(4, 4) if with_network else None
    assert_bijective(Multiscale(inner, network, 2, tf.float64, num_kept=4), (3, 6))


def test_without_a_network_channels_are_split_off_unchanged(make_events: Make) -> None:
    inner, y = ActNorm(tf.ones(4, tf.float64), tf.ones(4, tf.float64), 2, tf.float64), make_events((3, 6))
    z, log_det = Multiscale(inner, None, 2, tf.float64, num_kept=4).inverse_and_log_det(y)
    np.testing.assert_array_equal(z[..., 4:], y[..., 4:])
    np.testing.assert_allclose(log_det, -12.0)


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


def test_the_scale_is_bounded_on_both_sides(make_conditioner: Make, make_events: Make) -> None:
    wild = make_conditioner(1, 2)
    step = Multiscale(identity(2), lambda first: 1e6 * wild(first), 2, tf.float64, bound=3.0)
    assert np.all(np.abs(step.inverse_and_log_det(make_events((5, 2)))[1]) <= 15.0)


def test_the_clamp_can_be_off(make_conditioner: Make, make_events: Make) -> None:
    conditioner, y = make_conditioner(1, 2), make_events((5, 2))
    free = Multiscale(identity(2), lambda first: 100.0 * conditioner(first), 2, tf.float64, bound=None)
    raw = 100.0 * conditioner(y[..., :1])[..., 1]
    np.testing.assert_allclose(free.inverse_and_log_det(y)[1], -tf.reduce_sum(raw, 1))


def test_bad_settings_are_refused(make_conditioner: Make, make_events: Make) -> None:
    for num_kept in (0, 4):
        with pytest.raises(ValueError, match=f"a split must keep 1 to 3 of 4 channels, got {num_kept}"):
            Multiscale(identity(2), None, 2, tf.float64, num_kept=num_kept).inverse_and_log_det(make_events((5, 4)))
    with pytest.raises(ValueError, match="bound of a log-scale must be positive, got -1.0"):
        Multiscale(identity(2), make_conditioner(1, 2), 2, tf.float64, bound=-1.0)
    narrow = Multiscale(identity(2), make_conditioner(2, 2), 2, tf.float64)
    with pytest.raises(ValueError, match="a conditioner must give 2 x 2 channels"):
        narrow.inverse_and_log_det(make_events((5, 4)))
