"""Stages of one form as a loop over their stacked parameters: one is traced and compiled, however many there are.

A level of a flow is a period of stages (a normalisation, a mixing of channels, a coupling or two) over and over. Here a
period is the body of a ``tf.while_loop``, once for the way to the latents and once for the way back, which rebuilds
every input by inversion as in recomputation.py; the loop itself keeps the periods in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import tensorflow as tf

from tfsep.bijectors.reversible.stacked_parameters import Block, blocks
from tfsep.bijectors.reversible.stages import Join, Leave, Stage, after
from tfsep.runtime.trace_context import entering_loop


@dataclass(frozen=True)
class Repeated:
    """Periods of stages in a row, which differ in their parameters only.

    Args:
        periods: the stages, as many in each.
    """

    periods: tuple[tuple[Stage, ...], ...]

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Those of one period, which stand for all."""
        return self.periods[0]

    @cached_property
    def blocks(self) -> list[Block]:
        """The parameters of all periods, those of each in rows."""
        return blocks(
            [[each for stage in period for each in (*stage.given, *stage.weights)] for period in self.periods]
        )

    @property
    def parameters(self) -> tuple[tf.Tensor, ...]:
        """The rows of every block, (period, entries) each."""
        return tuple(block.rows for block in self.blocks)

    def _columns(self, stacked: Sequence[tf.Tensor]) -> dict[int, tf.Tensor]:
        """Each parameter of a period, (period, entries): rows are taken apart once, before a loop."""
        found: dict[int, tf.Tensor] = {}
        for block, rows in zip(self.blocks, stacked, strict=True):
            found |= zip(block.members, block.columns(rows), strict=True)
        return dict(sorted(found.items()))

    def _lent(self, columns: dict[int, tf.Tensor], period: tf.Tensor) -> list[list[tf.Tensor]]:
        """The parameters of each stage of a period."""
        shapes = {m: shape for block in self.blocks for m, shape in zip(block.members, block.shapes, strict=True)}
        values = [tf.reshape(tf.gather(column, period), shapes[member]) for member, column in columns.items()]
        shares, start = [], 0
        for stage in self.stages:
            end = start + len(stage.given) + len(stage.weights)
            shares.append(values[start:end])
            start = end
        return shares

    def inverse_and_log_det(self, y: tf.Tensor, stacked: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Data to latent: the latents and log|det| (batch,), in nats."""
        count, shape, columns = len(self.periods), y.shape, self._columns(stacked)

        def period(place: tf.Tensor, y: tf.Tensor, log_det: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            with entering_loop():
                for stage, lent in zip(self.stages, self._lent(columns, place), strict=True):
                    y, change = stage.inverse_and_log_det(y, lent)
                    log_det += change
            return place + 1, tf.ensure_shape(y, shape), log_det

        start = (tf.constant(0), y, tf.zeros(tf.shape(y)[:1], y.dtype))
        _, y, log_det = tf.while_loop(
            lambda place, *_: place < count, period, start, parallel_iterations=1, maximum_iterations=count
        )
        return y, log_det

    def gradients(
        self, x: tf.Tensor, stacked: Sequence[tf.Tensor], grad: tf.Tensor, grad_log_det: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """The input of the first period, its gradient and those of the stacked parameters, from the last one's output.

        Args:
            x: the output.
            stacked: :attr:`parameters`.
            grad, grad_log_det: the gradients in the output and in log|det|.
        """
        count, shape, columns = len(self.periods), x.shape, self._columns(stacked)
        arrays = [
            tf.TensorArray(each.dtype, count, element_shape=each.shape[1:], clear_after_read=False)
            for each in columns.values()
        ]

        def period(place: tf.Tensor, x: tf.Tensor, grad: tf.Tensor, *arrays: tf.TensorArray) -> tuple[object, ...]:
            place, before = place - 1, [grad]
            found: list[tf.Tensor] = []
            with entering_loop():
                for stage, lent in reversed(list(zip(self.stages, self._lent(columns, place), strict=True))):
                    x, grad, others = stage.gradients(after(x, before), lent, True, grad, grad_log_det)
                    before = [grad, *others]
                    found = [*others, *found]
            written = [array.write(place, tf.reshape(each, [-1])) for array, each in zip(arrays, found, strict=True)]
            return place, tf.ensure_shape(x, shape), tf.ensure_shape(grad, shape), *written

        start = (tf.constant(count), x, grad, *arrays)
        _, x, grad, *arrays = tf.while_loop(
            lambda place, *_: place > 0, period, start, parallel_iterations=1, maximum_iterations=count
        )
        found = [array.stack() for array in arrays]
        return x, grad, [tf.concat([found[member] for member in block.members], 1) for block in self.blocks]


def folded(chain: Sequence[Stage | Leave | Join]) -> list[Stage | Leave | Join | Repeated]:
    """A chain with its repetitions as loops: at each place the one that covers most, of those the shortest period."""
    forms = [stage.form if isinstance(stage, Stage) else None for stage in chain]
    found: list[Stage | Leave | Join | Repeated] = []
    place = 0
    while place < len(chain):
        length, count = _repetition(forms[place:])
        stages = [stage for stage in chain[place : place + length * count] if isinstance(stage, Stage)]
        if count > 1:
            periods = (tuple(stages[k * length : (k + 1) * length]) for k in range(count))
            found.append(Repeated(tuple(periods)))
        else:
            found.append(chain[place])
        place += length * count
    return found


def _repetition(forms: Sequence[object]) -> tuple[int, int]:
    """Length of the period that the forms begin with, and how often it comes; (1, 1) where nothing repeats."""
    best = (1, 1)
    for length in range(1, len(forms) // 2 + 1):
        period = forms[:length]
        if None in period:
            break
        count = 1
        while list(forms[count * length : (count + 1) * length]) == list(period):
            count += 1
        if count > 1 and count * length > best[0] * best[1]:
            best = (length, count)
    return best
