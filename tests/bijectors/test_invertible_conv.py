"""The invertible 1x1 convolution against plain linear algebra."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep.bijectors import InvertibleConv
from tfsep.bijectors.invertible_conv import random_rotation

Make = Callable[..., Any]


def perturbed(num_channels: int, event_ndims: int) -> InvertibleConv:
    """A matrix that is no rotation any more, with numbers in the triangles that must not be read."""
    rng = np.random.default_rng(3)
    factors = random_rotation(num_channels, seed=1)
    for name in ("lower", "upper", "log_diagonal"):
        factors[name] = factors[name] + 0.3 * rng.normal(size=factors[name].shape)
    return InvertibleConv(
        **{name: tf.constant(value) for name, value in factors.items()}, event_ndims=event_ndims, dtype=tf.float64
    )


@pytest.mark.parametrize("shape", [(3, 4), (2, 2, 4), (3, 1)])
def test_is_a_bijection(shape: tuple[int, ...], assert_bijective: Make) -> None:
    assert_bijective(perturbed(shape[-1], len(shape)), shape)


@pytest.mark.parametrize("num_channels", [1, 2, 7, 16])
def test_starts_as_a_rotation(num_channels: int, make_events: Make) -> None:
    factors = random_rotation(num_channels, seed=0)
    diagonal = np.diag(factors["sign"] * np.exp(factors["log_diagonal"]))
    matrix = factors["permutation"] @ (factors["lower"] + np.eye(num_channels)) @ (factors["upper"] + diagonal)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(num_channels), atol=1e-12)
    np.testing.assert_allclose(factors["log_diagonal"].sum(), 0.0, atol=1e-12)
    step = InvertibleConv(
        **{name: tf.constant(value) for name, value in factors.items()}, event_ndims=2, dtype=tf.float64
    )
    x = make_events((5, num_channels))
    np.testing.assert_allclose(step.forward_and_log_det(x)[0], x.numpy() @ matrix, atol=1e-12)


def test_the_log_determinant_is_that_of_the_matrix_at_every_position(make_events: Make) -> None:
    step = perturbed(4, 3)
    basis = tf.reshape(tf.eye(4, dtype=tf.float64), (4, 1, 1, 4))
    matrix = tf.reshape(step.forward_and_log_det(basis)[0], (4, 4)).numpy()
    expected = 6 * np.linalg.slogdet(matrix)[1]
    np.testing.assert_allclose(step.forward_and_log_det(make_events((2, 3, 4)))[1], expected, rtol=1e-12)


def test_seeds_give_different_rotations() -> None:
    first, again, second = (random_rotation(4, seed)["upper"] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - second).max() > 0.01
