"""Repeated blocks as a loop over their stacked parameters: one block is traced and compiled, however many there are.

A level of a flow repeats a block of steps (a normalisation, a mixing of channels, a coupling or
two). Here a block is the body of a ``tf.while_loop``, once for the map to the latents and once for
the gradient, which rebuilds every input by inversion as in gradient.py; the loop itself keeps the
blocks in order.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

import tensorflow as tf

from tfsep.bijectors.reversible.functional_step import Element, FunctionalStep, after
from tfsep.bijectors.reversible.stacked_parameters import StackedParameters, stack
from tfsep.runtime.trace_context import entering_loop


@dataclass(frozen=True)
class RepeatedBlocks:
    """Blocks of steps in a row, which differ in the values of their parameters only.

    Args:
        blocks: the steps of each block, as many in each.
    """

    blocks: tuple[tuple[FunctionalStep, ...], ...]

    @property
    def steps(self) -> tuple[FunctionalStep, ...]:
        """The steps of the first block, which represent those of all."""
        return self.blocks[0]

    @cached_property
    def stacked(self) -> list[StackedParameters]:
        """The parameters of all blocks, one row for each block."""
        return stack([[each for step in block for each in (*step.conditions, *step.weights)] for block in self.blocks])

    @property
    def parameters(self) -> tuple[tf.Tensor, ...]:
        """The matrices of :attr:`stacked`, (block, entries) each."""
        return tuple(each.matrix for each in self.stacked)

    def _columns(self, matrices: Sequence[tf.Tensor]) -> dict[int, tf.Tensor]:
        """Return each parameter of a block, (block, entries), by its number: matrices are split once, before a loop."""
        found: dict[int, tf.Tensor] = {}
        for each, matrix in zip(self.stacked, matrices, strict=True):
            found |= zip(each.members, each.split(matrix), strict=True)
        return dict(sorted(found.items()))

    def _values(self, columns: dict[int, tf.Tensor], index: tf.Tensor) -> list[list[tf.Tensor]]:
        """Return the values of the parameters of each step of one block."""
        shapes = {m: shape for each in self.stacked for m, shape in zip(each.members, each.shapes, strict=True)}
        values = [tf.reshape(tf.gather(column, index), shapes[member]) for member, column in columns.items()]
        by_step, start = [], 0
        for step in self.steps:
            end = start + len(step.conditions) + len(step.weights)
            by_step.append(values[start:end])
            start = end
        return by_step

    def inverse_and_log_det(self, y: tf.Tensor, matrices: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Map data (batch, ...) to latents; return these and log|det| (batch,), in nats."""
        count, shape, columns = len(self.blocks), y.shape, self._columns(matrices)

        def block(index: tf.Tensor, y: tf.Tensor, log_det: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            with entering_loop():
                for step, values in zip(self.steps, self._values(columns, index), strict=True):
                    y, change = step.inverse_and_log_det(y, values)
                    log_det += change
            return index + 1, tf.ensure_shape(y, shape), log_det

        start = (tf.constant(0), y, tf.zeros(tf.shape(y)[:1], y.dtype))
        _, y, log_det = tf.while_loop(
            lambda index, *_: index < count, block, start, parallel_iterations=1, maximum_iterations=count
        )
        return y, log_det

    def gradients(
        self, x: tf.Tensor, matrices: Sequence[tf.Tensor], grad: tf.Tensor, grad_log_det: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """Return the data of the first block, the gradient in them, and those in the stacked parameters.

        Args:
            x: the latents of the last block.
            matrices: :attr:`parameters`.
            grad: the gradient in the latents, of their shape.
            grad_log_det: the gradient in log|det|, (batch,).
        """
        count, shape, columns = len(self.blocks), x.shape, self._columns(matrices)
        arrays = [
            tf.TensorArray(each.dtype, count, element_shape=each.shape[1:], clear_after_read=False)
            for each in columns.values()
        ]

        def block(index: tf.Tensor, x: tf.Tensor, grad: tf.Tensor, *arrays: tf.TensorArray) -> tuple[object, ...]:
            index, before = index - 1, [grad]
            found: list[tf.Tensor] = []
            with entering_loop():
                for step, values in reversed(list(zip(self.steps, self._values(columns, index), strict=True))):
                    x, grad, others = step.gradients(after(x, before), values, True, grad, grad_log_det)
                    before = [grad, *others]
                    found = [*others, *found]
            written = [array.write(index, tf.reshape(each, [-1])) for array, each in zip(arrays, found, strict=True)]
            return index, tf.ensure_shape(x, shape), tf.ensure_shape(grad, shape), *written

        start = (tf.constant(count), x, grad, *arrays)
        _, x, grad, *arrays = tf.while_loop(
            lambda index, *_: index > 0, block, start, parallel_iterations=1, maximum_iterations=count
        )
        found = [array.stack() for array in arrays]
        return x, grad, [tf.concat([found[member] for member in each.members], 1) for each in self.stacked]


def with_loops(chain: Sequence[Element]) -> list[Element | RepeatedBlocks]:
    """Replace repetitions in a chain by loops: at each place the one that covers most, of those the shortest block."""
    signatures = [each.signature if isinstance(each, FunctionalStep) else None for each in chain]
    found: list[Element | RepeatedBlocks] = []
    start = 0
    while start < len(chain):
        length, count = _repetition(signatures[start:])
        steps = [each for each in chain[start : start + length * count] if isinstance(each, FunctionalStep)]
        if count > 1:
            found.append(RepeatedBlocks(tuple(tuple(steps[k * length : (k + 1) * length]) for k in range(count))))
        else:
            found.append(chain[start])
        start += length * count
    return found


def _repetition(signatures: Sequence[Hashable]) -> tuple[int, int]:
    """Return the length of the block that the signatures begin with, and its count; (1, 1) if nothing repeats."""
    best = (1, 1)
    for length in range(1, len(signatures) // 2 + 1):
        block = signatures[:length]
        if None in block:
            break
        count = 1
        while list(signatures[count * length : (count + 1) * length]) == list(block):
            count += 1
        if count > 1 and count * length > best[0] * best[1]:
            best = (length, count)
    return best
