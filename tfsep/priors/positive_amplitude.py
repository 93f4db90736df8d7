r"""A known wave of unknown loudness: its amplitude, normal and cut off at zero, is integrated out.

With :math:`y = a\,u + \sqrt v\,\epsilon`, :math:`a \sim \mathcal{N}(\mu, s^2)` given :math:`a > 0`,
:math:`n = \|u\|^2`, :math:`\lambda = n / v + 1 / s^2`, :math:`l = u^T y / v + \mu / s^2` and
:math:`z = l / \sqrt\lambda`, completing the square leaves

.. math:: \log \frac{p(y|u)}{\mathcal{N}(y; 0, v I)} = \tfrac12 z^2 + \log \Phi(z) - \frac{\mu^2}{2 s^2}
          - \log \Phi(\mu / s) - \tfrac12 \log(s^2 \lambda),

and a given y and u is :math:`\mathcal{N}(l / \lambda, 1 / \lambda)` cut off at zero, of mean
:math:`(z + \phi(z) / \Phi(z)) / \sqrt\lambda`. The gradient of the log-density in y is
:math:`(E[a|y,u]\,u - y) / v`.
"""

from __future__ import annotations

import math

import tensorflow as tf

from tfsep.priors.truncated_normal import draw_truncated_normal

_FAR = -12.0
_LOG_ROOT = 0.5 * math.log(math.tau)


def log_evidence(
    inner: tf.Tensor, energy: tf.Tensor, variance: tf.Tensor, amplitude: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Compute log p(y|u) - log N(y; 0, v I) and E[a|y,u], of any shape.

    Args:
        inner: u^T y.
        energy: n = |u|^2, of the same shape.
        variance: v.
        amplitude: (2,): mu and s.
    """
    mean, spread = amplitude[0], amplitude[1] ** 2
    width = tf.math.rsqrt(energy / variance + 1.0 / spread)
    standard = (inner / variance + mean / spread) * width
    gain = _gain(standard)
    constant = 0.5 * tf.math.log(spread) + _gain(mean / amplitude[1])
    return gain + (tf.math.log(width) - constant), _level(standard, gain, width)


def log_likelihood(
    y: tf.Tensor, waves: tf.Tensor, variance: tf.Tensor, amplitude: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Compute log p(y|u) + D/2 log(2 pi v) and E[a|y,u]: (time,), (part, time) -> (part,) each.

    It is :func:`log_evidence` written with residuals, which are exact where differences of large
    numbers are not.
    """
    mean, spread = amplitude[0], amplitude[1] ** 2
    width = tf.math.rsqrt(tf.reduce_sum(waves**2, -1) / variance + 1.0 / spread)
    standard = (tf.linalg.matvec(waves, y) / variance + mean / spread) * width
    gain = _gain(standard)
    best = tf.stop_gradient(standard * width)
    rest = tf.reduce_sum((y - best[:, tf.newaxis] * waves) ** 2, -1)
    square = -0.5 * (rest / variance + (best - mean) ** 2 / spread)
    positive = gain - 0.5 * standard**2 - _gain(mean / amplitude[1]) + 0.5 * mean**2 / spread
    return square + positive + tf.math.log(width / amplitude[1]), _level(standard, gain, width)


def draw(
    inner: tf.Tensor, energy: tf.Tensor, variance: tf.Tensor, amplitude: tf.Tensor, uniform: tf.Tensor
) -> tf.Tensor:
    """Draw a given y and u from uniform numbers (float64), of the arguments' shape; with no energy, of a alone."""
    spread = amplitude[1] ** 2
    precision = energy / variance + 1.0 / spread
    mean = (inner / variance + amplitude[0] / spread) / precision
    return draw_truncated_normal(mean, tf.math.rsqrt(precision), 0.0, math.inf, uniform)


def _gain(standard: tf.Tensor) -> tf.Tensor:
    r"""Compute z^2 / 2 + log Phi(z); far below zero, where the two nearly cancel, by the series of Mills' ratio."""
    near = tf.maximum(standard, _FAR)
    far = 1.0 / tf.minimum(standard, _FAR)
    series = tf.zeros_like(far)
    for order in (13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0):
        series = -order * far**2 * (1.0 + series)
    here = standard > _FAR
    share = tf.where(here, 0.5 * tf.math.erfc(-near * math.sqrt(0.5)), -math.exp(-_LOG_ROOT) * far * (1.0 + series))
    return tf.where(here, 0.5 * near**2, 0.0) + tf.math.log(share)


def _level(standard: tf.Tensor, gain: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Compute E[a|y,u]: phi(z) / Phi(z) is exp(-gain) / sqrt(2 pi)."""
    return tf.maximum(standard + tf.exp(-gain - _LOG_ROOT), 0.0) * width
