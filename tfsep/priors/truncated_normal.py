"""A normal distribution truncated to an interval: its mass, its mean and draws, exact far into its tails."""

from __future__ import annotations

import math

import tensorflow as tf
import tensorflow_probability as tfp


def _log_normal_cdf(x: tf.Tensor) -> tf.Tensor:
    return tfp.math.logerfc(-x / math.sqrt(2.0)) - math.log(2.0)


def truncated_normal(mean: tf.Tensor, std: tf.Tensor, low: float, high: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the log of the mass of N(mean, std^2) within low..high and its mean there, of the arguments' shape.

    In float64: both tails and a spread far wider than the interval are differences of nearly equal
    numbers.

    Args:
        mean: of the normal before it is truncated.
        std: its standard deviation, above 0, of the shape of ``mean``.
        low: lower end of the interval.
        high: its upper end, above ``low``; may be infinite.
    """
    dtype, mean, std = mean.dtype, tf.cast(mean, tf.float64), tf.cast(std, tf.float64)
    alpha, beta = (low - mean) / std, (high - mean) / std
    flip = alpha > 0.0
    upper = _log_normal_cdf(tf.where(flip, -alpha, beta))
    lower = _log_normal_cdf(tf.where(flip, -beta, alpha))
    log_mass = upper + tf.math.log(-tf.math.expm1(tf.minimum(lower - upper, -1e-30)))
    log_peak = -0.5 * math.log(math.tau)
    edges = tf.exp(log_peak - 0.5 * alpha**2 - log_mass) - tf.exp(log_peak - 0.5 * beta**2 - log_mass)
    return tf.cast(log_mass, dtype), tf.cast(tf.clip_by_value(mean + std * edges, low, high), dtype)


def draw_truncated_normal(mean: tf.Tensor, std: tf.Tensor, low: float, high: float, uniform: tf.Tensor) -> tf.Tensor:
    """Draw from N(mean, std^2) within low..high by the inverse of its distribution function, in the arguments' shape.

    Where the interval lies more than 37 std away, all draws are its nearer end (the exact ones are
    within std / 37).

    Args:
        mean: of the normal before it is truncated.
        std: its standard deviation, above 0, of the shape of ``mean``.
        low: lower end of the interval.
        high: its upper end.
        uniform: numbers in 0..1, float64, of the shape of ``mean``.
    """
    dtype, mean, std = mean.dtype, tf.cast(mean, tf.float64), tf.cast(std, tf.float64)
    alpha, beta = (low - mean) / std, (high - mean) / std
    flip = alpha > 0.0
    lower, upper = (tf.exp(_log_normal_cdf(tf.where(flip, -b, a))) for a, b in ((alpha, beta), (beta, alpha)))
    quantile = tf.math.ndtri(tf.clip_by_value(lower + uniform * (upper - lower), 1e-300, 1.0))
    drawn = mean + std * tf.where(flip, -quantile, quantile)
    return tf.cast(tf.clip_by_value(drawn, low, high), dtype)
