"""Adam's step with its moments as plain tensors, for optimisation within a compiled loop.

Source: Kingma and Ba 2015, algorithm 1.
"""

from __future__ import annotations

import tensorflow as tf

_FIRST_DECAY, _SECOND_DECAY, _EPSILON = 0.9, 0.999, 1e-8


def adam_step(
    gradient: tf.Tensor, first: tf.Tensor, second: tf.Tensor, step: tf.Tensor, step_size: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return the move along a gradient, uphill, and both moments after it; all have the gradient's shape.

    Args:
        gradient: of what is climbed.
        first: running mean of gradients, zero at the beginning.
        second: running mean of their squares, zero at the beginning.
        step: number of this step, from 0.
        step_size: about the largest move of one number.
    """
    first = _FIRST_DECAY * first + (1.0 - _FIRST_DECAY) * gradient
    second = _SECOND_DECAY * second + (1.0 - _SECOND_DECAY) * gradient**2
    count = tf.cast(step + 1, gradient.dtype)
    size = tf.sqrt(second / (1.0 - _SECOND_DECAY**count)) + _EPSILON
    return step_size * first / (1.0 - _FIRST_DECAY**count) / size, first, second
