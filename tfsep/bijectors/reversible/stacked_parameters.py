"""The parameters of periods that repeat as the rows of a few matrices, so that a loop takes one row at a time.

A trainer holds its weights in long vectors (``tfsep.training.flat_weights``). Where those of a period lie side by side
in one of them, and those of the next period behind them, the matrix is a view of that vector: nothing is stacked for
the way to the latents, nothing taken apart for the gradient, and neither tracing nor compiling grows with the number
of periods. Who holds such vectors says so (``tfsep.runtime.packed_weights``); all other parameters are stacked.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras
import tensorflow as tf

from tfsep.runtime import packed_weights
from tfsep.runtime.packed_weights import Position

Parameter: TypeAlias = tf.Tensor | keras.Variable


@dataclass(frozen=True)
class Block:
    """Some parameters of a period side by side, for all periods.

    Attributes:
        members: their numbers within a period.
        shapes: of each.
        rows: (period, entries).
    """

    members: tuple[int, ...]
    shapes: tuple[Any, ...]
    rows: tf.Tensor

    def columns(self, rows: tf.Tensor) -> list[tf.Tensor]:
        """Each member's entries in rows of these shapes, (period, entries of the member)."""
        if len(self.members) == 1:
            return [rows]
        return tf.split(rows, [math.prod(shape) for shape in self.shapes], axis=1)


def blocks(periods: Sequence[Sequence[Parameter]]) -> list[Block]:
    """Lay out parameters, as many in each period and of the same shapes."""
    views = _views(periods)
    viewed = {member for block in views for member in block.members}
    return [*views, *(_stacked(periods, k) for k in range(len(periods[0])) if k not in viewed)]


def value(parameter: Parameter) -> tf.Tensor:
    """A parameter as a tensor."""
    return tf.convert_to_tensor(parameter)


def _stacked(periods: Sequence[Sequence[Parameter]], member: int) -> Block:
    """A block of one parameter, stacked; one that all periods share is repeated instead."""
    every = [period[member] for period in periods]
    first = value(every[0])
    shape = tuple(first.shape) if first.shape.is_fully_defined() else tf.shape(first)
    if all(each is every[0] for each in every):
        return Block((member,), (shape,), tf.tile(tf.reshape(first, [1, -1]), [len(periods), 1]))
    return Block((member,), (shape,), tf.stack([tf.reshape(value(each), [-1]) for each in every]))


def _views(periods: Sequence[Sequence[Parameter]]) -> list[Block]:
    """Blocks that are views of the holder's vectors."""
    packed = packed_weights.packed()
    if packed is None:
        return []
    grouped: dict[int, list[tuple[int, int]]] = {}
    for member, parameter in enumerate(periods[0]):
        place = packed.position(parameter)
        if place is not None:
            grouped.setdefault(place[0], []).append((place[1], member))
    found = []
    for number, places in grouped.items():
        members = tuple(member for _, member in sorted(places))
        shapes = tuple(tuple(periods[0][member].shape) for member in members)
        start, length = min(places)[0], sum(math.prod(shape) for shape in shapes)
        if [packed.position(period[k]) for period in periods for k in members] == list(
            _side_by_side(number, start, shapes, len(periods))
        ):
            vector = packed.view(number, [period[k] for period in periods for k in members])
            rows = tf.reshape(vector[start : start + len(periods) * length], [len(periods), length])
            found.append(Block(members, shapes, rows))
    return found


def _side_by_side(number: int, start: int, shapes: Sequence[tuple[int, ...]], count: int) -> Iterator[Position]:
    """The places of parameters of these shapes one behind the other in a vector, period after period."""
    for _ in range(count):
        for shape in shapes:
            yield number, start
            start += math.prod(shape)
