"""How a coupling divides an event into the part that conditions and the part that changes.

A mask is a pair of inverse functions: ``split(x) -> (kept, changed)`` and
``merge(kept, changed) -> x``. Both parts have the same shape, so a conditioner sees a dense tensor
of half the size rather than one with holes.

``channel``: the two halves of the channels. ``checkerboard``: alternate positions along the last
spatial axis, shifted by one on every other row when there are two (Dinh et al. 2017, figure 3).
``half``: the two halves of the last spatial axis. ``swap`` exchanges the two parts.

A :class:`GivenMask` divides one half of an event while another half is given.
"""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

KINDS = ("channel", "checkerboard", "half")


@dataclass(frozen=True)
class Mask:
    """One way to halve an event (batch, ..., channel).

    Attributes:
        kind: one of :data:`KINDS`; see the module's text.
        swap: exchange the parts.

    Raises:
        ValueError: for another kind.
    """

    kind: str
    swap: bool = False

    def __post_init__(self) -> None:
        """Check the kind."""
        if self.kind not in KINDS:
            raise ValueError(f"a mask is one of {', '.join(KINDS)}, got {self.kind!r}")

    def part_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of either part for an event of ``event_shape``.

        Raises:
            ValueError: if the halved axis is odd.
        """
        shape = list(event_shape)
        axis = -1 if self.kind == "channel" else -2
        if shape[axis] % 2:
            raise ValueError(f"a {self.kind} mask halves axis {axis} of the event {event_shape}, which is odd")
        shape[axis] //= 2
        return tuple(shape)

    def kept_channels(self, event_shape: tuple[int, ...]) -> int:
        """Return the channels of the part that conditions."""
        return self.part_shape(event_shape)[-1]

    def split(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Divide (batch, ..., channel) into (kept, changed), both of :meth:`part_shape`."""
        if self.kind == "checkerboard":
            pairs = tf.reshape(x, tf.concat([tf.shape(x)[:-2], [x.shape[-2] // 2, 2, x.shape[-1]]], axis=0))
            pairs = tf.ensure_shape(pairs, x.shape[:-2] + [x.shape[-2] // 2, 2, x.shape[-1]])
            first, second = self._alternate(pairs[..., 0, :], pairs[..., 1, :])
        else:
            first, second = tf.split(x, 2, axis=-1 if self.kind == "channel" else -2)
        return (second, first) if self.swap else (first, second)

    def merge(self, kept: tf.Tensor, changed: tf.Tensor) -> tf.Tensor:
        """Undo :meth:`split`: two parts of :meth:`part_shape` -> (batch, ..., channel)."""
        first, second = (changed, kept) if self.swap else (kept, changed)
        if self.kind != "checkerboard":
            return tf.concat([first, second], axis=-1 if self.kind == "channel" else -2)
        first, second = self._alternate(first, second)
        pairs = tf.stack([first, second], axis=-2)
        shape = first.shape[:-2] + [2 * first.shape[-2], first.shape[-1]]
        return tf.ensure_shape(tf.reshape(pairs, tf.concat([tf.shape(first)[:-2], shape[-2:]], axis=0)), shape)

    @staticmethod
    def _alternate(first: tf.Tensor, second: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Exchange the two parts on odd rows of a 2-D event; its own inverse."""
        if first.shape.rank != 4:
            return first, second
        odd_row = (tf.range(first.shape[1]) % 2 == 1)[:, tf.newaxis, tf.newaxis]
        return tf.where(odd_row, second, first), tf.where(odd_row, first, second)


@dataclass(frozen=True)
class GivenMask(Mask):
    """A mask within the first half of the channels; the second half is given and conditions, too.

    The part that changes has the shape of :meth:`Mask.part_shape` for the first half. The part that
    is kept stands beside both parts of the given half at the same positions, in three times as many
    channels.
    """

    def part_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the part that changes, for an event (..., 2 channel)."""
        return super().part_shape((*event_shape[:-1], event_shape[-1] // 2))

    def kept_channels(self, event_shape: tuple[int, ...]) -> int:
        """Return the channels of the part that conditions, those of the given half included."""
        return 3 * self.part_shape(event_shape)[-1]

    def split(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Divide (batch, ..., 2 channel) into what conditions and what changes."""
        mapped, given = tf.split(x, 2, axis=-1)
        kept, changed = super().split(mapped)
        return tf.concat([kept, *super().split(given)], axis=-1), changed

    def merge(self, kept: tf.Tensor, changed: tf.Tensor) -> tf.Tensor:
        """Undo :meth:`split`."""
        kept, *given = tf.split(kept, 3, axis=-1)
        return tf.concat([super().merge(kept, changed), super().merge(*given)], axis=-1)
