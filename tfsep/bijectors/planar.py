r"""Planar flow: the event moves along one direction by a bump of its projection on another.

Latent to data, with the inner products over the whole event,

.. math:: y = x + \hat u \tanh(w \cdot x + b), \qquad
          \log|\det| = \log\bigl(1 + (\hat u \cdot w)\,(1 - \tanh^2(w \cdot x + b))\bigr).

It is invertible while :math:`\hat u \cdot w > -1`, which
:math:`\hat u = u + (m(w \cdot u) - w \cdot u)\, w / \|w\|^2` with :math:`m(a) = \log(1 + e^a) - 1`
grants for any u. The inverse has no closed form, but is a matter of one number: the projection
:math:`p = w \cdot x` solves :math:`p + (\hat u \cdot w) \tanh(p + b) = w \cdot y`, with a left side
that rises. A fixed count of bisections finds it; two steps of Newton's method then make the result
differentiable in y and in the parameters, up to third derivatives. Layers of their own per example, from a network that
reads the mixture, make a flexible posterior.

Source: Rezende and Mohamed 2015, section 4.1, equations 10 to 12, and appendix A.1.
"""

from __future__ import annotations

import tensorflow as tf

from tfsep.bijectors.step import Step, per_example

_BISECTIONS = 64


class Planar(Step):
    """One planar layer.

    Args:
        direction: u, (batch,) + event_shape, or (1,) + event_shape for one layer for all examples.
        normal: w, likewise, and not zero.
        offset: b, (batch,) or (1,).
    """

    def __init__(
        self,
        direction: tf.Tensor,
        normal: tf.Tensor,
        offset: tf.Tensor,
        event_ndims: int,
        dtype: tf.DType,
        name: str = "planar",
    ) -> None:
        parameters = dict(locals())
        overlap = per_example(normal * direction)
        self._overlap = tf.nn.softplus(overlap) - 1.0
        excess = (self._overlap - overlap) / per_example(normal**2)
        column = [-1] + [1] * event_ndims
        self._direction = direction + tf.reshape(excess, column) * normal
        self._normal, self._offset, self._column = normal, offset, column
        super().__init__(event_ndims, dtype, parameters, name)

    def _bump(self, projection: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the move along the direction and the log-determinant, for w . x of (batch,)."""
        bump = tf.tanh(projection + self._offset)
        return tf.reshape(bump, self._column), tf.math.log1p(self._overlap * (1.0 - bump**2))

    def _projection(self, target: tf.Tensor) -> tf.Tensor:
        """Return w . x, (batch,), of the event that is mapped to one with w . y = target."""

        def left(projection: tf.Tensor) -> tf.Tensor:
            return projection + self._overlap * tf.tanh(projection + self._offset)

        goal, reach = tf.stop_gradient(target), tf.stop_gradient(tf.abs(self._overlap))

        def halve(low: tf.Tensor, high: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            middle = 0.5 * (low + high)
            below = left(middle) < goal
            return tf.where(below, middle, low), tf.where(below, high, middle)

        ends = (goal - reach, goal + reach)
        low, high = tf.while_loop(lambda low, high: True, halve, ends, maximum_iterations=_BISECTIONS)
        root = tf.stop_gradient(0.5 * (low + high))
        for _ in range(2):
            root -= (left(root) - target) / (1.0 + self._overlap * (1.0 - tf.tanh(root + self._offset) ** 2))
        return root

    def forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Map latent to data; see :meth:`Step.forward_and_log_det`."""
        bump, log_det = self._bump(per_example(self._normal * x))
        return x + self._direction * bump, log_det

    def inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Map data to latent; see :meth:`Step.inverse_and_log_det`."""
        bump, log_det = self._bump(self._projection(per_example(self._normal * y)))
        return y - self._direction * bump, -log_det
