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

from tfsep.bijectors.chain import Join, Leave, Stage, after
from tfsep.bijectors.rows import Block, blocks
from tfsep.tracing import within_loop


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

    def _lent(self, stacked: Sequence[tf.Tensor], period: tf.Tensor) -> list[list[tf.Tensor]]:
        """The parameters of each stage of a period."""
        values: dict[int, tf.Tensor] = {}
        for block, rows in zip(self.blocks, stacked, strict=True):
            values |= zip(block.members, block.split(tf.gather(rows, period)), strict=True)
        shares, start = [], 0
        for stage in self.stages:
            end = start + len(stage.given) + len(stage.weights)
            shares.append([values[place] for place in range(start, end)])
            start = end
        return shares

    def inverse_and_log_det(self, y: tf.Tensor, stacked: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Data to latent: the latents and log|det| (batch,), in nats."""
        count, shape = len(self.periods), y.shape

        def period(place: tf.Tensor, y: tf.Tensor, log_det: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            with within_loop():
                for stage, lent in zip(self.stages, self._lent(stacked, place), strict=True):
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
        count, shape = len(self.periods), x.shape
        rows = [
            tf.TensorArray(each.dtype, count, element_shape=each.shape[1:], clear_after_read=False) for each in stacked
        ]

        def period(place: tf.Tensor, x: tf.Tensor, grad: tf.Tensor, *rows: tf.TensorArray) -> tuple[object, ...]:
            place, before = place - 1, [grad]
            found: list[tf.Tensor] = []
            with within_loop():
                for stage, lent in reversed(list(zip(self.stages, self._lent(stacked, place), strict=True))):
                    x, grad, others = stage.gradients(after(x, before), lent, True, grad, grad_log_det)
                    before = [grad, *others]
                    found = [*others, *found]
            joined = [block.join([found[member] for member in block.members]) for block in self.blocks]
            written = [row.write(place, each) for row, each in zip(rows, joined, strict=True)]
            return place, tf.ensure_shape(x, shape), tf.ensure_shape(grad, shape), *written

        start = (tf.constant(count), x, grad, *rows)
        _, x, grad, *rows = tf.while_loop(
            lambda place, *_: place > 0, period, start, parallel_iterations=1, maximum_iterations=count
        )
        return x, grad, [row.stack() for row in rows]


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
