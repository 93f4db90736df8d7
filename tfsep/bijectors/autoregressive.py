r"""Inverse autoregressive flow: each dimension is scaled and shifted by what a network computes from those before it.

Latent to data, over the D dimensions of a flattened event,

.. math:: y_i = x_i\, e^{s_i(x_{1..i-1})} + t_i(x_{1..i-1}), \qquad \log|\det| = \sum_i s_i,

in one pass: sampling, and the density of what was sampled, are fast, which is what a posterior asks
for. The way back takes D passes, each of which gets one more dimension right: pass i recomputes
every x from the x of the pass before, and dimension i depends on right ones only. The log-scale is
softly clamped as in couplings. Reversing the order from layer to layer lets every dimension see
every other.

Sources: Kingma et al. 2016, section 3 and equation 10; Germain et al. 2015 for the network,
:class:`tfsep.networks.made.Made`.
"""

from __future__ import annotations

import math

import tensorflow as tf

from tfsep.bijectors.coupling import Conditioner, check_bound, shift_and_log_scale
from tfsep.bijectors.step import Step, per_example


class InverseAutoregressive(Step):
    """One affine inverse autoregressive layer.

    Args:
        conditioner: (batch, D) -> shift and raw log-scale, (batch, D, 2); those of dimension i must
            depend on the first i - 1 only.
        reverse: count the dimensions from the last to the first.
        bound: soft clamp of the log-scale, in nats, > 0; None for none.
    """

    def __init__(
        self,
        conditioner: Conditioner,
        event_ndims: int,
        dtype: tf.DType,
        reverse: bool = False,
        bound: float | None = 3.0,
        name: str = "inverse_autoregressive",
    ) -> None:
        parameters = dict(locals())
        check_bound(bound)
        self.conditioner, self.reverse, self.bound = conditioner, reverse, bound
        super().__init__(event_ndims, dtype, parameters, name)

    def _flat(self, x: tf.Tensor) -> tf.Tensor:
        """Flatten an event to (batch, D, 1) in the order of the dependences."""
        flat = tf.reshape(x, [-1, math.prod(x.shape[1:]), 1])
        return flat[:, ::-1] if self.reverse else flat

    def _event(self, flat: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
        """Undo :meth:`_flat`."""
        return tf.reshape(flat[:, ::-1] if self.reverse else flat, [-1, *like.shape[1:]])

    def _shift_and_log_scale(self, latent: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return shift_and_log_scale(self.conditioner(latent[..., 0]), latent, self.bound)

    def forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Map latent to data, in one pass."""
        latent = self._flat(x)
        shift, log_scale = self._shift_and_log_scale(latent)
        return self._event(latent * tf.exp(log_scale) + shift, x), per_example(log_scale)

    def inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Map data to latent, in as many passes as an event has dimensions."""
        data = self._flat(y)

        def improve(latent: tf.Tensor) -> tuple[tf.Tensor]:
            shift, log_scale = self._shift_and_log_scale(latent)
            return ((data - shift) * tf.exp(-log_scale),)

        count = data.shape[1]
        (latent,) = tf.while_loop(lambda latent: True, improve, (tf.zeros_like(data),), maximum_iterations=count)
        return self._event(latent, y), -per_example(self._shift_and_log_scale(latent)[1])
