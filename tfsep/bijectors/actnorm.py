r"""Activation normalisation: one scale and one shift per channel, data = latent * exp(log_scale) + shift.

Its initial values come from data, explicitly: :func:`statistics` gives the shift and log-scale
under which the latents of a batch have zero mean and unit variance per channel (Kingma and Dhariwal
2018, section 3.1). They are assigned before training and before any graph is traced, never by a
condition inside one.
"""

from __future__ import annotations

import tensorflow as tf

from tfsep.bijectors.step import Step

_SMALLEST_SCALE = 1e-4


def statistics(y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return shift and log-scale, (channel,) each, that whiten the channels of a batch; the scale is at least 1e-4."""
    axes = list(range(y.shape.rank - 1))
    mean, variance = tf.nn.moments(y, axes)
    return mean, tf.math.log(tf.maximum(tf.sqrt(variance), tf.cast(_SMALLEST_SCALE, y.dtype)))


class ActNorm(Step):
    """Per-channel affine map with log-determinant (number of positions) * sum(log_scale)."""

    def __init__(
        self, shift: tf.Tensor, log_scale: tf.Tensor, event_ndims: int, dtype: tf.DType, name: str = "actnorm"
    ) -> None:
        """Normalise by ``shift`` and ``log_scale`` (nats), (channel,) each."""
        parameters = dict(locals())
        self.shift, self.log_scale = shift, log_scale
        super().__init__(event_ndims, dtype, parameters, name)

    def _log_det(self, x: tf.Tensor) -> tf.Tensor:
        positions = tf.cast(tf.reduce_prod(tf.shape(x)[1:-1]), x.dtype)
        return tf.fill(tf.shape(x)[:1], positions * tf.reduce_sum(self.log_scale))

    def forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Map latent to data; see :meth:`Step.forward_and_log_det`."""
        return x * tf.exp(self.log_scale) + self.shift, self._log_det(x)

    def inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Map data to latent; see :meth:`Step.inverse_and_log_det`."""
        return (y - self.shift) * tf.exp(-self.log_scale), -self._log_det(y)
