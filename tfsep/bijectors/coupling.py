r"""Coupling: one part of the event is scaled and shifted by what a network computes from the other part.

With (kept, changed) from a mask, latent to data is

.. math:: y_{changed} = x_{changed} \odot e^{s(x_{kept})} + t(x_{kept}), \qquad y_{kept} = x_{kept},

and the log-determinant is :math:`\sum s`. The log-scale is softly clamped,
:math:`s = b \tanh(r / b)` for the network's raw output r, so that one bad step cannot blow a
density up; with ``bound=None`` it is not, :math:`s = r`. ``additive`` drops the scale and preserves
volume.

Sources: Dinh et al. 2015 (NICE), equations 5 to 7; Dinh et al. 2017 (RealNVP), equations 7 and 8.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from tfsep.bijectors.masks import Mask
from tfsep.bijectors.step import Recomputed, Step, Watch, per_example

Conditioner = Callable[[tf.Tensor], tf.Tensor]


def soft_clamp(raw: tf.Tensor, bound: float | None) -> tf.Tensor:
    """Return a log-scale in nats from a network's raw output, of its shape: bound tanh(raw / bound), or raw itself."""
    return raw if bound is None else bound * tf.tanh(raw / bound)


def shift_and_log_scale(parameters: tf.Tensor, changed: tf.Tensor, bound: float | None) -> tuple[tf.Tensor, tf.Tensor]:
    """Divide a conditioner's channels into the shift and the softly clamped log-scale, |log_scale| < ``bound``.

    Args:
        parameters: (batch, ..., 2 channel), the network's output.
        changed: (batch, ..., channel), what they are for.
        bound: in nats; None for no clamp.

    Returns:
        The shift and the log-scale, both (batch, ..., channel).

    Raises:
        ValueError: if there are not two numbers for each of ``changed``; broadcast, they would
            count too few times.
    """
    _check_channels(parameters, changed, 2)
    shift, raw = tf.split(parameters, 2, axis=-1)
    return shift, soft_clamp(raw, bound)


def check_bound(bound: float | None) -> None:
    """Refuse a soft clamp that is neither positive nor None, which turns it off."""
    if bound is not None and not bound > 0.0:
        raise ValueError(f"the bound of a log-scale must be positive, got {bound}")


def _check_channels(parameters: tf.Tensor, changed: tf.Tensor, each: int) -> None:
    *positions, channels = changed.shape[1:]
    if not parameters.shape[1:].is_compatible_with([*positions, each * channels]):
        raise ValueError(
            f"a conditioner must give {each} x {channels} channels at the positions {tuple(positions)}, "
            f"got {tuple(parameters.shape[1:])}"
        )


class Coupling(Step):
    """Affine or additive coupling.

    Args:
        conditioner: kept part -> parameters of the changed part; twice its channels (affine) or as
            many (additive).
        mask: which part is kept.
        event_ndims: 2 for (time, channel), 3 for (frame, bin, channel).
        additive: shift only.
        bound: soft clamp of the log-scale, in nats, > 0; None for none.
    """

    def __init__(
        self,
        conditioner: Conditioner,
        mask: Mask,
        event_ndims: int,
        dtype: tf.DType,
        additive: bool = False,
        bound: float | None = 3.0,
        name: str = "coupling",
    ) -> None:
        parameters = dict(locals())
        check_bound(bound)
        self.conditioner, self.mask, self.additive, self.bound = conditioner, mask, additive, bound
        super().__init__(event_ndims, dtype, parameters, name)

    def _shift_and_log_scale(self, kept: tf.Tensor, changed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        parameters = self.conditioner(kept)
        if self.additive:
            _check_channels(parameters, changed, 1)
            return parameters, tf.zeros_like(parameters)
        return shift_and_log_scale(parameters, changed, self.bound)

    def forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Map latent to data; see :meth:`Step.forward_and_log_det`."""
        kept, changed = self.mask.split(x)
        shift, log_scale = self._shift_and_log_scale(kept, changed)
        return self.mask.merge(kept, changed * tf.exp(log_scale) + shift), per_example(log_scale)

    def inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Map data to latent; see :meth:`Step.inverse_and_log_det`."""
        kept, changed = self.mask.split(y)
        shift, log_scale = self._shift_and_log_scale(kept, changed)
        return self.mask.merge(kept, (changed - shift) * tf.exp(-log_scale)), -per_example(log_scale)

    def recompute_from_latent(self, x: tf.Tensor, watch: Watch) -> Recomputed:
        """Compute the pass again from its latent; the kept part is the same on both sides, so one evaluation serves."""
        kept, changed = (tf.stop_gradient(part) for part in self.mask.split(x))
        watch(kept)
        shift, log_scale = self._shift_and_log_scale(kept, changed)
        data = tf.stop_gradient(changed * tf.exp(log_scale) + shift)
        watch(data)
        latent = self.mask.merge(kept, (data - shift) * tf.exp(-log_scale))
        return Recomputed((kept, data), lambda parts: self.mask.merge(*parts), latent, -per_example(log_scale))
