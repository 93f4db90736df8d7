"""Invertible curves that compress amplitudes to a range that suits networks, and back.

- mu-law (ITU-T G.711, the continuous curve): y = sign(x) log(1 + mu |x|) / log(1 + mu), from
  [-1, 1] onto [-1, 1].
- log magnitude: y = log(a + floor), from a >= 0 onto y >= log(floor).
"""

from __future__ import annotations

import math

import tensorflow as tf


def mu_law(x: tf.Tensor, mu: float = 255.0) -> tf.Tensor:
    """Compress amplitudes by the mu-law: fine steps near zero, coarse ones near full scale.

    Its slope is mu / log(1 + mu) at zero, and automatic differentiation finds it there.

    Args:
        x: Amplitudes of any shape, float; full scale is 1 and lands on 1.
        mu: The strength of the curve, above 0.

    Returns:
        The companded amplitudes, of the shape of ``x``.

    Raises:
        ValueError: mu is not positive.
    """
    _check_positive("mu", mu)
    x = tf.convert_to_tensor(x)
    above, below = _halves(x)
    scale = 1.0 / math.log1p(mu)
    return tf.where(x >= 0, tf.math.log1p(mu * above), -tf.math.log1p(mu * below)) * scale


def inverse_mu_law(y: tf.Tensor, mu: float = 255.0) -> tf.Tensor:
    """Invert ``mu_law``: x = sign(y) ((1 + mu)^|y| - 1) / mu.

    Args:
        y: Companded amplitudes of any shape, float.
        mu: The strength of the curve, above 0.

    Returns:
        The amplitudes, of the shape of ``y``.

    Raises:
        ValueError: mu is not positive.
    """
    _check_positive("mu", mu)
    y = tf.convert_to_tensor(y)
    above, below = _halves(y)
    rate = math.log1p(mu)
    return tf.where(y >= 0, tf.math.expm1(rate * above), -tf.math.expm1(rate * below)) / mu


def log_magnitude(magnitude: tf.Tensor, floor: float = 1e-3) -> tf.Tensor:
    """Return the logarithm of magnitudes, in nats, with silence at log(floor).

    Args:
        magnitude: Magnitudes of any shape, float, not negative.
        floor: What is added before the logarithm, above 0, in the unit of ``magnitude``.

    Returns:
        log(magnitude + floor), of the shape of ``magnitude``.

    Raises:
        ValueError: if the floor is not positive.
    """
    _check_positive("floor", floor)
    return tf.math.log(tf.convert_to_tensor(magnitude) + floor)


def inverse_log_magnitude(level: tf.Tensor, floor: float = 1e-3) -> tf.Tensor:
    """Invert ``log_magnitude``; values below log(floor), which no magnitude has, become zero.

    Args:
        level: Log magnitudes of any shape, float, in nats.
        floor: As given to ``log_magnitude``.

    Returns:
        max(exp(level) - floor, 0), of the shape of ``level``.

    Raises:
        ValueError: if the floor is not positive.
    """
    _check_positive("floor", floor)
    return tf.nn.relu(tf.math.exp(tf.convert_to_tensor(level)) - floor)


def _check_positive(name: str, value: float) -> None:
    if not 0.0 < value < math.inf:
        raise ValueError(f"{name} must be positive and finite, got {value}")


def _halves(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return max(x, 0) and max(-x, 0), with a gradient of zero where they are zero."""
    zero = tf.zeros_like(x)
    return tf.where(x >= 0, x, zero), tf.where(x >= 0, zero, -x)
