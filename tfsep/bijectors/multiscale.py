r"""Multiscale split: some channels are split off early, under a distribution learned from those that are kept.

From data to latent the channels are split into (a, b). Part a goes on through the inner steps; part
b is standardised by what a network computes from a, :math:`z_b = (b - \mu(a))\, e^{-s(a)}`, so that
modelling :math:`z_b` by a standard normal models b by :math:`\mathcal{N}(\mu(a), e^{2 s(a)})`. The
log-scale is softly clamped, which bounds it from below. Without a network, :math:`z_b = b`: the
early outputs of WaveGlow. The latents keep the event's shape, (z_a, z_b), so a flow's latent space
is as large as its data and in one piece.

Sources: Dinh et al. 2017, section 3.6; Kingma and Dhariwal 2018, section 3 and its released split
prior; Prenger et al. 2018 (WaveGlow), section 2.3, for early outputs.
"""

from __future__ import annotations

import tensorflow as tf

from tfsep.bijectors.coupling import Conditioner, check_bound, shift_and_log_scale
from tfsep.bijectors.step import Recomputed, Step, Watch, per_example


class Multiscale(Step):
    """Split, with the inner step on the first channels.

    Args:
        inner: a step that maps the kept channels to a latent of the same shape.
        conditioner: kept channels -> shift and raw log-scale of those split off, twice as many as
            these; None leaves them unchanged.
        bound: soft clamp of the log-scale, in nats, > 0; None for none.
        num_kept: channels that are kept; None is half of them.
    """

    def __init__(
        self,
        inner: Step,
        conditioner: Conditioner | None,
        event_ndims: int,
        dtype: tf.DType,
        bound: float | None = 3.0,
        num_kept: int | None = None,
        name: str = "multiscale",
    ) -> None:
        parameters = dict(locals())
        check_bound(bound)
        self.inner, self.conditioner, self.bound, self.num_kept = inner, conditioner, bound, num_kept
        super().__init__(event_ndims, dtype, parameters, name)

    def split(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Split an event, on either side, into the channels that are kept and those that are split off.

        Raises:
            ValueError: unless at least one is kept and one is split off.
        """
        channels = x.shape[-1]
        kept = channels // 2 if self.num_kept is None else self.num_kept
        if not 0 < kept < channels:
            raise ValueError(f"a split must keep 1 to {channels - 1} of {channels} channels, got {kept}")
        first, second = tf.split(x, [kept, channels - kept], axis=-1)
        return first, second

    def _shift_and_log_scale(self, first: tf.Tensor, second: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        if self.conditioner is None:
            return tf.zeros_like(second), tf.zeros_like(second)
        return shift_and_log_scale(self.conditioner(first), second, self.bound)

    def forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Map latent to data; see :meth:`Step.forward_and_log_det`."""
        first, second = self.split(x)
        first, log_det = self.inner.forward_and_log_det(first)
        shift, log_scale = self._shift_and_log_scale(first, second)
        return tf.concat([first, second * tf.exp(log_scale) + shift], -1), log_det + per_example(log_scale)

    def inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Map data to latent; see :meth:`Step.inverse_and_log_det`."""
        first, second = self.split(y)
        shift, log_scale = self._shift_and_log_scale(first, second)
        first, log_det = self.inner.inverse_and_log_det(first)
        return tf.concat([first, (second - shift) * tf.exp(-log_scale)], -1), log_det - per_example(log_scale)

    def recompute_from_latent(self, x: tf.Tensor, watch: Watch) -> Recomputed:
        """Compute the pass again from its latent, with one evaluation of the network."""
        first, second = self.split(tf.stop_gradient(x))
        first = tf.stop_gradient(self.inner.forward_and_log_det(first)[0])
        watch(first)
        shift, log_scale = self._shift_and_log_scale(first, second)
        data = tf.stop_gradient(second * tf.exp(log_scale) + shift)
        watch(data)
        inner, log_det = self.inner.inverse_and_log_det(first)
        latent = tf.concat([inner, (data - shift) * tf.exp(-log_scale)], -1)
        return Recomputed((first, data), lambda parts: tf.concat(parts, -1), latent, log_det - per_example(log_scale))
