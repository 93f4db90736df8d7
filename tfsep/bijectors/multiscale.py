r"""Multiscale split: half of the channels leave the flow early, under a distribution learned from the other half.

From data to latent the channels divide into (a, b). Part a goes on through the inner steps; part b is standardised by
what a network reads off a, :math:`z_b = (b - \mu(a))\, e^{-s(a)}`, so that modelling :math:`z_b` by a standard normal
models b by :math:`\mathcal{N}(\mu(a), e^{2 s(a)})`. The log-scale is softly clamped, which is its floor. The latents
keep the event's shape, (z_a, z_b), so a flow's latent space is as large as its data and in one piece.

Sources: Dinh et al. 2017, section 3.6; Kingma and Dhariwal 2018, section 3 and its released split prior.
"""

from __future__ import annotations

import tensorflow as tf

from tfsep.bijectors.coupling import Conditioner, check_bound, shift_and_log_scale
from tfsep.bijectors.step import Step, per_example


class Multiscale(Step):
    """Split, with the inner step on the first half of the channels.

    Args:
        inner: a step that maps the first half to a latent of the same shape.
        conditioner: first half -> shift and raw log-scale of the second, twice its channels.
        bound: soft clamp of the log-scale, in nats, > 0.
    """

    def __init__(
        self,
        inner: Step,
        conditioner: Conditioner,
        event_ndims: int,
        dtype: tf.DType,
        bound: float = 3.0,
        name: str = "multiscale",
    ) -> None:
        """Borrow the inner step and the conditioner."""
        parameters = dict(locals())
        check_bound(bound)
        self.inner, self.conditioner, self.bound = inner, conditioner, bound
        super().__init__(event_ndims, dtype, parameters, name)

    def forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Latent to data."""
        first, second = tf.split(x, 2, axis=-1)
        first, log_det = self.inner.forward_and_log_det(first)
        shift, log_scale = shift_and_log_scale(self.conditioner(first), second, self.bound)
        return tf.concat([first, second * tf.exp(log_scale) + shift], -1), log_det + per_example(log_scale)

    def inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Data to latent."""
        first, second = tf.split(y, 2, axis=-1)
        shift, log_scale = shift_and_log_scale(self.conditioner(first), second, self.bound)
        first, log_det = self.inner.inverse_and_log_det(first)
        return tf.concat([first, (second - shift) * tf.exp(-log_scale)], -1), log_det - per_example(log_scale)
