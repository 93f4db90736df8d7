"""Squeeze: neighbouring positions become channels, an exact reordering with log-determinant zero.

From data to latent, (time, channel) becomes (time / f, channel * f), and (frame, bin, channel)
becomes (frame / f, bin / g, channel * f * g) with a factor for each axis (Dinh et al. 2017, section
3.6). A reversed squeeze restores the shape on the way to the latents.
"""

from __future__ import annotations

import math

import tensorflow as tf

from tfsep.bijectors.step import Step


def squeezed_shape(event_shape: tuple[int, ...], factors: tuple[int, ...]) -> tuple[int, ...]:
    """Return the event shape after a squeeze.

    Raises:
        ValueError: if a factor is below 1 or does not divide its axis.
    """
    if min(factors) < 1:
        raise ValueError(f"squeeze factors must be at least 1, got {factors}")
    *spatial, channels = event_shape
    for size, factor in zip(spatial, factors, strict=True):
        if size % factor:
            raise ValueError(f"squeeze factors {factors} must divide the event shape {tuple(event_shape)}")
        channels *= factor
    return (*(size // factor for size, factor in zip(spatial, factors, strict=True)), channels)


def unsqueezed_shape(event_shape: tuple[int, ...], factors: tuple[int, ...]) -> tuple[int, ...]:
    """Return the event shape before a squeeze, the inverse of :func:`squeezed_shape`.

    Raises:
        ValueError: if the product of the factors does not divide the channels.
    """
    *spatial, channels = event_shape
    if channels % math.prod(factors):
        raise ValueError(f"squeeze factors {factors} must divide the channels of the event shape {tuple(event_shape)}")
    return (*(size * factor for size, factor in zip(spatial, factors, strict=True)), channels // math.prod(factors))


def squeeze(y: tf.Tensor, factors: tuple[int, ...]) -> tf.Tensor:
    """Move positions to channels: (batch,) + shape -> (batch,) + squeezed_shape(shape)."""
    shape = squeezed_shape(tuple(y.shape[1:]), factors)
    split = [part for size, factor in zip(shape[:-1], factors, strict=True) for part in (size, factor)]
    blocks = tf.reshape(y, [-1, *split, y.shape[-1]])
    count = len(factors)
    order = [0, *range(1, 2 * count, 2), *range(2, 2 * count + 1, 2), 2 * count + 1]
    return tf.reshape(tf.transpose(blocks, order), [-1, *shape])


def unsqueeze(x: tf.Tensor, factors: tuple[int, ...]) -> tf.Tensor:
    """Move channels back to positions, the inverse of :func:`squeeze`: (batch,) + shape -> the unsqueezed one."""
    shape = unsqueezed_shape(tuple(x.shape[1:]), factors)
    blocks = tf.reshape(x, [-1, *x.shape[1:-1], *factors, shape[-1]])
    count = len(factors)
    order = [0, *(axis for i in range(count) for axis in (1 + i, 1 + count + i)), 2 * count + 1]
    return tf.reshape(tf.transpose(blocks, order), [-1, *shape])


class Squeeze(Step):
    """Reorder by one factor per spatial axis; ``reverse`` exchanges the two directions."""

    def __init__(self, factors: tuple[int, ...], dtype: tf.DType, reverse: bool = False, name: str = "squeeze") -> None:
        """Set the factors, (f,) for waves or (f, g) for spectrograms, each at least 1.

        Raises:
            ValueError: for other factors.
        """
        parameters = dict(locals())
        if len(factors) not in (1, 2) or min(factors) < 1:
            raise ValueError(f"squeeze takes one or two factors of at least 1, got {factors}")
        self.factors, self.reverse = tuple(factors), reverse
        super().__init__(len(factors) + 1, dtype, parameters, name)

    def inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Map data to latent; see :meth:`Step.inverse_and_log_det`."""
        reorder = unsqueeze if self.reverse else squeeze
        return reorder(y, self.factors), tf.zeros(tf.shape(y)[:1], y.dtype)

    def forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Map latent to data; see :meth:`Step.forward_and_log_det`."""
        reorder = squeeze if self.reverse else unsqueeze
        return reorder(x, self.factors), tf.zeros(tf.shape(x)[:1], x.dtype)

    def _reorder_shape_tensor(self, shape: tf.Tensor, to_channels: bool) -> tf.Tensor:
        factors = tf.constant(self.factors, shape.dtype)
        product = math.prod(self.factors)
        if to_channels:
            return tf.concat([shape[:-1] // factors, shape[-1:] * product], axis=0)
        return tf.concat([shape[:-1] * factors, shape[-1:] // product], axis=0)

    def _inverse_event_shape_tensor(self, output_shape: tf.Tensor) -> tf.Tensor:
        return self._reorder_shape_tensor(output_shape, not self.reverse)

    def _forward_event_shape_tensor(self, input_shape: tf.Tensor) -> tf.Tensor:
        return self._reorder_shape_tensor(input_shape, self.reverse)

    def _inverse_event_shape(self, output_shape: tf.TensorShape) -> tf.TensorShape:
        reshape = unsqueezed_shape if self.reverse else squeezed_shape
        return tf.TensorShape(reshape(tuple(output_shape), self.factors))

    def _forward_event_shape(self, input_shape: tf.TensorShape) -> tf.TensorShape:
        reshape = squeezed_shape if self.reverse else unsqueezed_shape
        return tf.TensorShape(reshape(tuple(input_shape), self.factors))
