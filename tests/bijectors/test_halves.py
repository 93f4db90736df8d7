"""The two halves of an event side by side, in either order, and back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from tfsep.bijectors import Halves
from tfsep.bijectors.halves import merge_halves, split_halves

CASES = [((16, 1), (2,), (4,), (2, 8)), ((4, 6, 1), (2, 1), (1, 3), (2, 2, 6)), ((3, 8, 1), (1, 2), (3, 2), (1, 2, 12))]


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(("data", "halving", "factors", "latent"), CASES)
def test_it_is_a_reordering(
    data: tuple[int, ...],
    halving: tuple[int, ...],
    factors: tuple[int, ...],
    latent: tuple[int, ...],
    mirrored: bool,
    assert_bijective: Callable[..., None],
) -> None:
    assert_bijective(Halves(halving, factors, tf.float64, mirrored), latent, data)
    assert_bijective(Halves(halving, factors, tf.float64, mirrored, reverse=True), data, latent)


def test_odd_samples_come_first_and_mirrored_the_even_ones() -> None:
    wave = tf.reshape(tf.range(8.0, dtype=tf.float64), [1, 8, 1])
    found = Halves((2,), (2,), tf.float64).inverse(wave)
    np.testing.assert_array_equal(found[0], [[1, 3, 0, 2], [5, 7, 4, 6]])
    np.testing.assert_array_equal(Halves((2,), (2,), tf.float64, mirrored=True).inverse(wave)[0, 0], [0, 2, 1, 3])


@pytest.mark.parametrize(("shape", "halving"), [((16, 1), (2,)), ((4, 6, 1), (2, 1)), ((3, 8, 1), (1, 2))])
def test_halves_are_merged_again(
    shape: tuple[int, ...], halving: tuple[int, ...], make_events: Callable[..., tf.Tensor]
) -> None:
    x = make_events(shape)
    even, odd = split_halves(x, halving)
    axis = 1 + halving.index(2)
    np.testing.assert_array_equal(even, np.take(x, range(0, x.shape[axis], 2), axis))
    np.testing.assert_array_equal(odd, np.take(x, range(1, x.shape[axis], 2), axis))
    np.testing.assert_array_equal(merge_halves(even, odd, halving), x)
