r"""Diagonal scaling: every dimension of the event has a scale of its own, data = latent * exp(log_scale).

It is the top layer of NICE, where couplings preserve volume and nothing else can weigh one
dimension against another; the log-determinant is the sum of the log-scales (Dinh et al. 2015,
section 3.3).
"""

from __future__ import annotations

import tensorflow as tf

from tfsep.bijectors.step import Step, per_example


class DiagonalScale(Step):
    """Scale each dimension by exp(``log_scale``), in nats: (1,) or, if conditioned, (batch,), + event_shape."""

    def __init__(self, log_scale: tf.Tensor, event_ndims: int, dtype: tf.DType, name: str = "diagonal_scale") -> None:
        parameters = dict(locals())
        self.log_scale = log_scale
        super().__init__(event_ndims, dtype, parameters, name)

    def _log_det(self, x: tf.Tensor) -> tf.Tensor:
        return per_example(self.log_scale + tf.zeros_like(x))

    def forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Map latent to data; see :meth:`Step.forward_and_log_det`."""
        return x * tf.exp(self.log_scale), self._log_det(x)

    def inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Map data to latent; see :meth:`Step.inverse_and_log_det`."""
        return y * tf.exp(-self.log_scale), -self._log_det(y)
