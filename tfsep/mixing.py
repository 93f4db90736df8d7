r"""The mixing model, with one sign and one scale for all of tfsep.

A mixture of N sources is

.. math:: m = \sum_k a_k s_k + \epsilon, \qquad \epsilon \sim \mathcal{N}(0, \gamma^2 I),

with gains :math:`a_k = 1/N` (the mean) unless others are given. The likelihood, its gradient, the
exact constraint and the directions that keep it are in this file.

Shapes: ``mixture`` is (..., time), ``sources`` is (..., source, time); the leading axes broadcast.
Amplitudes are linear samples, full scale being 1. Arguments may be arrays or tensors; results are
tensors of the sources' dtype.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf

from tfsep.axes import Sources, TensorLike, Waves


def gain_vector(num_sources: int, gains: Sequence[float] | None = None) -> tuple[float, ...]:
    """Return the gains a_1..a_N, the mean's 1/N where none are given.

    Raises:
        ValueError: if there are not ``num_sources`` gains, or one is zero or not finite.
    """
    if num_sources < 1:
        raise ValueError(f"a mixture needs at least one source, got {num_sources}")
    if gains is None:
        return (1.0 / num_sources,) * num_sources
    values = tuple(float(gain) for gain in gains)
    if len(values) != num_sources:
        raise ValueError(f"one gain for each of the {num_sources} sources is needed, got {len(values)}")
    if not all(math.isfinite(value) and value != 0.0 for value in values):
        raise ValueError(f"gains must be finite and not zero, got {values}")
    return values


def gain_column(sources: tf.Tensor, gains: Sequence[float] | None) -> tf.Tensor:
    """Return the gains as a (source, 1) column that multiplies sources (..., source, time), of their dtype.

    Raises:
        ValueError: if the number of sources is not static, or the gains do not fit it.
    """
    num_sources = sources.shape[-2]
    if num_sources is None:
        raise ValueError("the source axis (second from the end) must have a static size")
    return tf.constant(gain_vector(num_sources, gains), sources.dtype)[:, tf.newaxis]


def _as_tensors(mixture: TensorLike, sources: TensorLike) -> tuple[Waves, Sources]:
    """Return both as tensors of the sources' dtype."""
    sources = tf.convert_to_tensor(sources)
    return tf.cast(tf.convert_to_tensor(mixture), sources.dtype), sources


def _scale(gamma: TensorLike, dtype: tf.DType) -> tf.Tensor:
    """Return gamma in ``dtype``; a Python float is not rounded to float32 on the way."""
    return tf.cast(gamma, dtype) if tf.is_tensor(gamma) else tf.convert_to_tensor(gamma, dtype)


def mix(sources: TensorLike, gains: Sequence[float] | None = None) -> Waves:
    """Return the noiseless mixture sum_k a_k s_k: (..., source, time) -> (..., time)."""
    sources = tf.convert_to_tensor(sources)
    return tf.reduce_sum(gain_column(sources, gains) * sources, axis=-2)


def residual(mixture: TensorLike, sources: TensorLike, gains: Sequence[float] | None = None) -> Waves:
    """Return what the sources leave unexplained, m - sum_k a_k s_k: (..., time)."""
    mixture, sources = _as_tensors(mixture, sources)
    return mixture - mix(sources, gains)


def log_likelihood(
    mixture: TensorLike, sources: TensorLike, gamma: TensorLike, gains: Sequence[float] | None = None
) -> tf.Tensor:
    r"""Return log N(m; sum_k a_k s_k, gamma^2 I) in nats, summed over time: (...).

    Args:
        mixture: (..., time).
        sources: (..., source, time).
        gamma: standard deviation of the noise, > 0, in units of amplitude; a scalar or of the
            result's shape.
        gains: a_1..a_N; None is the mean.
    """
    error = residual(mixture, sources, gains)
    gamma = _scale(gamma, error.dtype)
    time = tf.cast(tf.shape(error)[-1], error.dtype)
    return -0.5 * tf.reduce_sum(error**2, axis=-1) / gamma**2 - time * (tf.math.log(gamma) + 0.5 * math.log(math.tau))


def gradient(
    mixture: TensorLike, sources: TensorLike, gamma: TensorLike, gains: Sequence[float] | None = None
) -> Sources:
    r"""Return the gradient of :func:`log_likelihood` in the sources, (..., source, time).

    It is a_k (m - sum_j a_j s_j) / gamma^2; for the mean, (m - mean(s)) / (N gamma^2).
    """
    mixture, sources = _as_tensors(mixture, sources)
    error = residual(mixture, sources, gains)[..., tf.newaxis, :]
    return gain_column(sources, gains) * error / _scale(gamma, sources.dtype) ** 2


def project(mixture: TensorLike, sources: TensorLike, gains: Sequence[float] | None = None) -> Sources:
    r"""Return the nearest sources that explain the mixture exactly (gamma -> 0): (..., source, time).

    .. math:: s_k \leftarrow s_k + a_k \frac{m - \sum_j a_j s_j}{\lVert a \rVert^2}

    It is the Euclidean projection on the affine space of solutions, so it is idempotent; for the
    mean it adds the residual m - mean(s) to every source.
    """
    mixture, sources = _as_tensors(mixture, sources)
    column = gain_column(sources, gains)
    error = residual(mixture, sources, gains)[..., tf.newaxis, :]
    return sources + column * error / tf.reduce_sum(column**2)


def project_tangent(direction: TensorLike, gains: Sequence[float] | None = None) -> Sources:
    r"""Return the part of a direction of the sources that leaves the mixture as it is: (..., source, time).

    .. math:: g_k \leftarrow g_k - a_k \frac{\sum_j a_j g_j}{\lVert a \rVert^2}
    """
    direction = tf.convert_to_tensor(direction)
    column = gain_column(direction, gains)
    return direction - column * mix(direction, gains)[..., tf.newaxis, :] / tf.reduce_sum(column**2)
