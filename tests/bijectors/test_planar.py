"""Planar layers: bijections for any parameters, numeric inverse included, with weights of their own per example."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep.bijectors import Planar

Make = Callable[..., Any]


def layer(shape: tuple[int, ...], batch: int, size: float = 1.0, align: float = 0.0) -> Planar:
    """Random parameters; ``align`` turns the direction along (positive) or against (negative) the normal."""
    rng = np.random.default_rng(4)
    direction, normal = size * rng.normal(size=(2, batch, *shape))
    offset = rng.normal(size=batch)
    return Planar(*map(tf.constant, (direction + align * normal, normal, offset)), len(shape), tf.float64)


@pytest.mark.parametrize(("shape", "batch"), [((3, 1), 1), ((2, 2, 1), 3)])
@pytest.mark.parametrize("align", [0.0, 2.0, -2.0])
def test_is_a_bijection(shape: tuple[int, ...], batch: int, align: float, assert_bijective: Make) -> None:
    """Against the normal the raw direction would fold space; the corrected one does not."""
    assert_bijective(layer(shape, batch, align=align), shape)


def test_is_its_formula(make_events: Make) -> None:
    """Where the direction is orthogonal to the normal only the constant of the correction, log 2 - 1, is left."""
    normal, direction = np.zeros((2, 1, 3, 1))
    normal[0, 0], direction[0, 1] = 2.0, 0.7
    step = Planar(tf.constant(direction), tf.constant(normal), tf.constant([0.3], tf.float64), 2, tf.float64)
    x = make_events((3, 1)).numpy()
    bump = np.tanh(2.0 * x[:, 0, 0] + 0.3)
    expected = x.copy()
    expected[:, 1, 0] += 0.7 * bump
    expected[:, 0, 0] += (np.log(2.0) - 1.0) / 2.0 * bump
    np.testing.assert_allclose(step.forward_and_log_det(tf.constant(x))[0], expected, rtol=1e-12)


def test_the_inverse_is_found_far_out_and_under_steep_layers(make_events: Make) -> None:
    for size, spread in ((1e-3, 1.0), (30.0, 1.0), (1.0, 1e4)):
        step, x = layer((4, 1), 3, size=size), spread * make_events((4, 1))
        y, log_det = step.forward_and_log_det(x)
        back, inverse_log_det = step.inverse_and_log_det(y)
        np.testing.assert_allclose(back, x, atol=1e-9 * max(size, spread))
        np.testing.assert_allclose(inverse_log_det, -log_det, atol=1e-6)


def test_the_inverse_teaches_its_parameters(make_events: Make) -> None:
    """The derivatives of the latents in the offset, through the root, against finite differences."""
    rng = np.random.default_rng(4)
    direction, normal = (tf.constant(part) for part in rng.normal(size=(2, 1, 4, 1)))
    y = make_events((4, 1))

    def energy(offset: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(Planar(direction, normal, offset, 2, tf.float64).inverse_and_log_det(y)[0] ** 2)

    def derivatives(offset: tf.Tensor) -> list[float]:
        """Value, slope and curvature."""
        with tf.GradientTape() as outer:
            outer.watch(offset)
            with tf.GradientTape() as inner:
                inner.watch(offset)
                value = energy(offset)
            slope = inner.gradient(value, offset)
        return [float(value), float(slope[0]), float(outer.gradient(slope, offset)[0])]

    offset = tf.constant([0.2], tf.float64)
    up, down = derivatives(offset + 1e-6), derivatives(offset - 1e-6)
    rises = [(above - below) / 2e-6 for above, below in zip(up, down, strict=True)]
    np.testing.assert_allclose(derivatives(offset)[1:], rises[:2], rtol=1e-6)
