"""Stacked layer parameters: those of repeated blocks as a few matrices with a row for each block, read by a loop.

A trainer packs its weights into long vectors (``tfsep.training``). Where the parameters of a block
lie side by side in one of them, and those of the next block behind them, the matrix is a view of
that vector: nothing is copied for the map to the latents, nothing split for the gradient, and
neither tracing nor compiling grows with the number of blocks. The trainer makes its vectors known
by ``tfsep.runtime.packed_weights``; all other parameters are stacked by a copy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import keras
import tensorflow as tf

from tfsep.runtime import packed_weights
from tfsep.runtime.packed_weights import Position

Parameter: TypeAlias = tf.Tensor | keras.Variable
#: A static shape, or a dynamic one as a tensor.
Shape: TypeAlias = tuple[int, ...] | tf.Tensor


@dataclass(frozen=True)
class StackedParameters:
    """Some parameters of a block side by side, for all blocks.

    Attributes:
        members: their numbers among the parameters of a block.
        shapes: of each.
        matrix: (block, entries), the parameters of one block in each row.
    """

    members: tuple[int, ...]
    shapes: tuple[Shape, ...]
    matrix: tf.Tensor

    def split(self, matrix: tf.Tensor) -> list[tf.Tensor]:
        """Split a matrix (block, entries) into each member's entries, (block, entries of the member)."""
        if len(self.members) == 1:
            return [matrix]
        return list(tf.split(matrix, [math.prod(shape) for shape in self.shapes], axis=1))


def stack(blocks: Sequence[Sequence[Parameter]]) -> list[StackedParameters]:
    """Stack the parameters of blocks, as many in each block and of the same shapes."""
    views = _views(blocks)
    viewed = {member for stacked in views for member in stacked.members}
    return [*views, *(_copied(blocks, member) for member in range(len(blocks[0])) if member not in viewed)]


def value(parameter: Parameter) -> tf.Tensor:
    """Return a parameter as a tensor."""
    return tf.convert_to_tensor(parameter)


def _copied(blocks: Sequence[Sequence[Parameter]], member: int) -> StackedParameters:
    """Stack one parameter by a copy; one that all blocks share is repeated."""
    every = [block[member] for block in blocks]
    first = value(every[0])
    shape = tuple(first.shape) if first.shape.is_fully_defined() else tf.shape(first)
    if all(each is every[0] for each in every):
        matrix = tf.tile(tf.reshape(first, [1, -1]), [len(blocks), 1])
    else:
        matrix = tf.stack([tf.reshape(value(each), [-1]) for each in every])
    return StackedParameters((member,), (shape,), matrix)


def _views(blocks: Sequence[Sequence[Parameter]]) -> list[StackedParameters]:
    """Return what can be read as views of packed vectors."""
    packed = packed_weights.packed()
    if packed is None:
        return []
    by_vector: dict[int, list[tuple[int, int]]] = {}
    for member, parameter in enumerate(blocks[0]):
        position = packed.position(parameter)
        if position is not None:
            by_vector.setdefault(position[0], []).append((position[1], member))
    found = []
    for number, starts in by_vector.items():
        members = tuple(member for _, member in sorted(starts))
        shapes = tuple(tuple(blocks[0][member].shape) for member in members)
        start, length = min(starts)[0], sum(math.prod(shape) for shape in shapes)
        parameters = [block[member] for block in blocks for member in members]
        expected = list(_side_by_side(number, start, shapes, len(blocks)))
        if [packed.position(parameter) for parameter in parameters] == expected:
            vector = packed.view(number, parameters)
            matrix = tf.reshape(vector[start : start + len(blocks) * length], [len(blocks), length])
            found.append(StackedParameters(members, shapes, matrix))
    return found


def _side_by_side(number: int, start: int, shapes: Sequence[tuple[int, ...]], count: int) -> Iterator[Position]:
    """Yield the positions of parameters of these shapes that lie behind each other in a vector, block after block."""
    for _ in range(count):
        for shape in shapes:
            yield number, start
            start += math.prod(shape)
