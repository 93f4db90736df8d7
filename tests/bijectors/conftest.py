"""One assertion family for all bijectors, in float64 and against automatic differentiation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from tfsep.bijectors import Step

BATCH = 3
Conditioner = Callable[[tf.Tensor], tf.Tensor]


def events(shape: tuple[int, ...], seed: int = 0, batch: int = BATCH) -> tf.Tensor:
    """Standard normal events in float64."""
    return tf.constant(np.random.default_rng(seed).normal(size=(batch, *shape)))


def conditioner(in_channels: int, out_channels: int, seed: int = 7) -> Conditioner:
    """A fixed non-linear map that mixes positions and channels of an event of any rank."""
    rng = np.random.default_rng(seed)
    here, there = (tf.constant(rng.normal(size=(in_channels, out_channels))) for _ in range(2))

    def apply(x: tf.Tensor) -> tf.Tensor:
        return tf.sin(tf.tensordot(x, here, 1)) + 0.7 * tf.tensordot(tf.roll(x, 1, axis=-2), there, 1)

    return apply


def log_dets_of_jacobians(function: Callable[[tf.Tensor], tf.Tensor], x: tf.Tensor) -> np.ndarray:
    """log|det| of the Jacobian of each example by reverse differentiation, one output at a time."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        flat = tf.reshape(function(x), [x.shape[0], -1])
        outputs = [flat[:, place] for place in range(flat.shape[1])]
    rows = [tf.reshape(tape.gradient(output, x), [x.shape[0], -1]) for output in outputs]
    return np.linalg.slogdet(np.stack([row.numpy() for row in rows], axis=1))[1]


def bijective(step: Step, latent_shape: tuple[int, ...], data_shape: tuple[int, ...] | None = None) -> None:
    """Hold everything that a step promises against its definition.

    The inverses to 1e-10 with TFP's cache broken by an identity, the log-determinants of both
    directions to 1e-8 against the Jacobians, the four views that TFP sees, and the shapes.
    """
    data_shape = data_shape or latent_shape
    x = events(latent_shape, 1)
    y, log_det = step.forward_and_log_det(x)
    back, inverse_log_det = step.inverse_and_log_det(tf.identity(y))
    assert tuple(y.shape) == (BATCH, *data_shape) and tuple(log_det.shape) == (BATCH,)
    np.testing.assert_allclose(back, x, atol=1e-10)
    np.testing.assert_allclose(inverse_log_det, -log_det, atol=1e-10)
    np.testing.assert_allclose(log_dets_of_jacobians(lambda v: step.forward_and_log_det(v)[0], x), log_det, atol=1e-8)
    np.testing.assert_allclose(
        log_dets_of_jacobians(lambda v: step.inverse_and_log_det(v)[0], y), inverse_log_det, atol=1e-8
    )
    ndims = len(latent_shape)
    np.testing.assert_allclose(step.inverse(tf.identity(step.forward(x))), x, atol=1e-10)
    np.testing.assert_allclose(step.forward_log_det_jacobian(tf.identity(x), ndims), log_det, atol=1e-12)
    np.testing.assert_allclose(step.inverse_log_det_jacobian(tf.identity(y), ndims), inverse_log_det, atol=1e-12)
    assert tuple(step.forward_event_shape(latent_shape)) == data_shape
    assert tuple(step.inverse_event_shape(data_shape)) == latent_shape
    assert tuple(step.forward_event_shape_tensor(latent_shape).numpy()) == data_shape
    assert tuple(step.inverse_event_shape_tensor(data_shape).numpy()) == latent_shape


@pytest.fixture(scope="session")
def assert_bijective() -> Callable[..., None]:
    return bijective


@pytest.fixture(scope="session")
def make_conditioner() -> Callable[..., Conditioner]:
    return conditioner


@pytest.fixture(scope="session")
def make_events() -> Callable[..., tf.Tensor]:
    return events
