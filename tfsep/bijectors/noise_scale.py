r"""The scale of noised data: data = mean + latent * sqrt(data_std^2 + sigma^2), one factor per example.

A source of standard deviation ``data_std`` plus noise of standard deviation sigma has this scale,
whatever its distribution. Taking it out first leaves a noise-conditional flow with inputs of unit
variance at every sigma.
"""

from __future__ import annotations

import tensorflow as tf

from tfsep.bijectors.step import Step


class NoiseScale(Step):
    """Scale by sqrt(data_std^2 + sigma^2) around the mean.

    Args:
        data_std: a scalar, in units of data.
        sigma: noise levels (batch,), in the same.
        mean: of each feature, of the event's shape; None is zero.
    """

    def __init__(
        self,
        data_std: tf.Tensor,
        sigma: tf.Tensor,
        event_ndims: int,
        dtype: tf.DType,
        mean: tf.Tensor | None = None,
        name: str = "noise_scale",
    ) -> None:
        parameters = dict(locals())
        self._mean = tf.zeros([], dtype) if mean is None else mean
        self._log_scale = 0.5 * tf.math.log(data_std**2 + sigma**2)
        super().__init__(event_ndims, dtype, parameters, name)

    def _broadcast(self, x: tf.Tensor) -> tf.Tensor:
        return tf.reshape(self._log_scale, [-1] + [1] * (x.shape.rank - 1))

    def _log_det(self, x: tf.Tensor) -> tf.Tensor:
        dimensions = tf.cast(tf.reduce_prod(tf.shape(x)[1:]), x.dtype)
        return dimensions * self._log_scale * tf.ones(tf.shape(x)[:1], x.dtype)

    def forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Map latent to data; see :meth:`Step.forward_and_log_det`."""
        return self._mean + x * tf.exp(self._broadcast(x)), self._log_det(x)

    def inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Map data to latent; see :meth:`Step.inverse_and_log_det`."""
        return (y - self._mean) * tf.exp(-self._broadcast(y)), -self._log_det(y)
