"""Squeezes move neighbouring positions into channels, and back, without touching a number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep.bijectors import Squeeze
from tfsep.bijectors.squeeze import squeezed_shape, unsqueezed_shape

Make = Callable[..., Any]
CASES = [((6, 1), (3,), (2, 3)), ((8, 2), (4,), (2, 8)), ((4, 6, 1), (2, 3), (2, 2, 6)), ((2, 4, 2), (1, 2), (2, 2, 4))]


@pytest.mark.parametrize(("data", "factors", "latent"), CASES)
def test_is_a_bijection(
    data: tuple[int, ...], factors: tuple[int, ...], latent: tuple[int, ...], assert_bijective: Make
) -> None:
    assert squeezed_shape(data, factors) == latent
    assert unsqueezed_shape(latent, factors) == data
    assert_bijective(Squeeze(factors, tf.float64), latent, data)
    assert_bijective(Squeeze(factors, tf.float64, reverse=True), data, latent)


@pytest.mark.parametrize(("data", "factors", "latent"), CASES)
def test_reverse_undoes_it(
    data: tuple[int, ...], factors: tuple[int, ...], latent: tuple[int, ...], make_events: Make
) -> None:
    y = make_events(data)
    x = Squeeze(factors, tf.float64).inverse_and_log_det(y)[0]
    np.testing.assert_array_equal(Squeeze(factors, tf.float64, reverse=True).inverse_and_log_det(x)[0], y)


def test_neighbours_in_time_become_channels() -> None:
    y = tf.reshape(tf.range(12.0), (1, 6, 2))
    x = Squeeze((3,), tf.float32).inverse_and_log_det(y)[0]
    np.testing.assert_array_equal(x[0], [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]])


def test_neighbours_in_a_plane_become_channels() -> None:
    y = np.arange(4 * 6, dtype=np.float32).reshape(1, 4, 6, 1)
    x = Squeeze((2, 3), tf.float32).inverse_and_log_det(tf.constant(y))[0].numpy()
    for frame in range(2):
        for column in range(2):
            block = y[0, 2 * frame : 2 * frame + 2, 3 * column : 3 * column + 3, 0]
            np.testing.assert_array_equal(x[0, frame, column], block.ravel())


def test_an_empty_batch_passes() -> None:
    assert Squeeze((2,), tf.float32).inverse_and_log_det(tf.zeros((0, 4, 1)))[0].shape == (0, 2, 2)


def test_bad_factors_are_refused() -> None:
    for factors in ((0,), (2, -1), (), (2, 2, 2)):
        with pytest.raises(ValueError, match="one or two factors of at least 1"):
            Squeeze(factors, tf.float32)
    with pytest.raises(ValueError, match="must be at least 1, got \\(0,\\)"):
        squeezed_shape((8, 1), (0,))
    with pytest.raises(ValueError, match="must divide the event shape"):
        squeezed_shape((6, 1), (4,))


def test_channels_that_do_not_divide_never_leak_into_the_batch() -> None:
    """With a free batch axis, a reshape would make three examples of two."""
    with pytest.raises(ValueError, match="must divide the channels"):
        Squeeze((2,), tf.float32, reverse=True).inverse_and_log_det(tf.zeros((2, 4, 3)))
