r"""Halves: the two halves of an event side by side, an exact reordering with log-determinant zero.

From data to latent, every other position along each halved axis goes to one half, as in a lazy
wavelet transform; each half is squeezed by itself, and the two stand side by side in the channels,
(mapped, given). Layers behind it map the first block of channels while the second only conditions,
so that together they are a density of one half given the other.

Source: Sweldens 1998 (lifting scheme), section 3.
"""

from __future__ import annotations

import tensorflow as tf

from tfsep.bijectors.squeeze import squeeze, squeezed_shape, unsqueeze, unsqueezed_shape
from tfsep.bijectors.step import Step

Factors = tuple[int, ...]


def split_halves(y: tf.Tensor, halving: Factors) -> tuple[tf.Tensor, tf.Tensor]:
    """Split events (batch,) + event_shape into the even and the odd positions of the axis that is halved.

    Args:
        y: events with one channel.
        halving: 2 for one axis, 1 for the others.
    """
    even, odd = tf.split(squeeze(y, halving), 2, axis=-1)
    return even, odd


def merge_halves(even: tf.Tensor, odd: tf.Tensor, halving: Factors) -> tf.Tensor:
    """Undo :func:`split_halves`."""
    return unsqueeze(tf.concat([even, odd], axis=-1), halving)


class Halves(Step):
    """Reorder (..., 1) to squeezed (..., 2 C): the C channels of the half to map, then those of the given half.

    Args:
        halving: 2 for the axis that is halved, 1 for the others.
        factors: of the squeeze of each half, one per spatial axis.
        mirrored: map the even positions given the odd ones, else the odd given the even.
        reverse: exchange the two directions.
    """

    def __init__(
        self,
        halving: Factors,
        factors: Factors,
        dtype: tf.DType,
        mirrored: bool = False,
        reverse: bool = False,
        name: str = "halves",
    ) -> None:
        parameters = dict(locals())
        self.halving, self.factors, self.mirrored, self.reverse = tuple(halving), tuple(factors), mirrored, reverse
        super().__init__(len(halving) + 1, dtype, parameters, name)

    def _apart(self, y: tf.Tensor) -> tf.Tensor:
        even, odd = split_halves(y, self.halving)
        mapped, given = (even, odd) if self.mirrored else (odd, even)
        return tf.concat([squeeze(mapped, self.factors), squeeze(given, self.factors)], axis=-1)

    def _together(self, x: tf.Tensor) -> tf.Tensor:
        mapped, given = (unsqueeze(half, self.factors) for half in tf.split(x, 2, axis=-1))
        even, odd = (mapped, given) if self.mirrored else (given, mapped)
        return merge_halves(even, odd, self.halving)

    def inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Map data to latent; see :meth:`Step.inverse_and_log_det`."""
        return (self._together if self.reverse else self._apart)(y), tf.zeros(tf.shape(y)[:1], y.dtype)

    def forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Map latent to data; see :meth:`Step.forward_and_log_det`."""
        return (self._apart if self.reverse else self._together)(x), tf.zeros(tf.shape(x)[:1], x.dtype)

    def _reordered(self, shape: tuple[int, ...], apart: bool) -> tuple[int, ...]:
        if apart:
            return squeezed_shape(squeezed_shape(shape, self.halving), self.factors)
        return unsqueezed_shape(unsqueezed_shape(shape, self.factors), self.halving)

    def _inverse_event_shape(self, output_shape: tf.TensorShape) -> tf.TensorShape:
        return tf.TensorShape(self._reordered(tuple(output_shape), not self.reverse))

    def _forward_event_shape(self, input_shape: tf.TensorShape) -> tf.TensorShape:
        return tf.TensorShape(self._reordered(tuple(input_shape), self.reverse))

    def _inverse_event_shape_tensor(self, output_shape: tf.Tensor) -> tf.Tensor:
        return self._reordered_tensor(output_shape, not self.reverse)

    def _forward_event_shape_tensor(self, input_shape: tf.Tensor) -> tf.Tensor:
        return self._reordered_tensor(input_shape, self.reverse)

    def _reordered_tensor(self, shape: tf.Tensor, apart: bool) -> tf.Tensor:
        each = [first * second for first, second in zip(self.halving, self.factors, strict=True)]
        change = tf.constant([*each, 1], shape.dtype)
        channels = tf.concat([tf.ones(len(each), shape.dtype), [tf.reduce_prod(change)]], axis=0)
        return shape * channels // change if apart else shape * change // channels
