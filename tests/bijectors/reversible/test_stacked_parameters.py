"""Rows of parameters: views of long vectors where they lie there in rows, stacks of all else; the same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfsep.bijectors.reversible.stacked_parameters import Block, blocks
from tfsep.runtime.packed_weights import PackedWeights, using

SHAPES = ((2, 3), (4,), (1, 5))
PERIODS = 3


def variables() -> list[list[keras.Variable]]:
    """Parameters of three periods, all different."""
    random = np.random.default_rng(0)
    return [[keras.Variable(random.normal(size=shape)) for shape in SHAPES] for _ in range(PERIODS)]


def packed_in(order: Sequence[keras.Variable], gap: int = 0) -> tuple[PackedWeights, list[Any]]:
    """One vector of variables in this order, ``gap`` zeros behind each, and a list of what is read from it."""
    starts: dict[int, tuple[int, int]] = {}
    pieces: list[np.ndarray] = []
    length, read = 0, []
    for variable in order:
        starts[id(variable)] = (0, length)
        pieces += [variable.numpy().reshape(-1), np.zeros(gap, np.float32)]
        length += pieces[-2].size + gap

    def view(number: int, parameters: Sequence[Any]) -> tf.Tensor:
        assert number == 0
        read.extend(parameters)
        return tf.constant(np.concatenate(pieces))

    return PackedWeights(lambda parameter: starts.get(id(parameter)), view), read


def check(found: Sequence[Block], periods: Sequence[Sequence[Any]]) -> None:
    """Every parameter of every period comes out of its row."""
    assert sorted(member for block in found for member in block.members) == list(range(len(periods[0])))
    for block in found:
        columns = block.columns(block.rows)
        for member, shape, column in zip(block.members, block.shapes, columns, strict=True):
            for number, period in enumerate(periods):
                expected = tf.convert_to_tensor(period[member])
                np.testing.assert_array_equal(tf.reshape(column[number], shape), expected)


def test_without_packed_weights_everything_is_stacked() -> None:
    periods = variables()
    found = blocks(periods)
    assert len(found) == len(SHAPES)
    check(found, periods)


def test_what_lies_in_rows_is_a_view_of_the_vector() -> None:
    periods = variables()
    packed, read = packed_in([each for period in periods for each in period])
    with using(packed):
        found = blocks(periods)
    assert [block.members for block in found] == [(0, 1, 2)] and len(read) == PERIODS * len(SHAPES)
    check(found, periods)


def test_a_period_may_begin_elsewhere_and_lie_in_another_order() -> None:
    periods = variables()
    before = keras.Variable(np.zeros(7))
    packed, _ = packed_in([before, *(period[k] for period in periods for k in (2, 0, 1))])
    with using(packed):
        found = blocks(periods)
    assert [block.members for block in found] == [(2, 0, 1)]
    check(found, periods)


@pytest.mark.parametrize("gap", [0, 1])
def test_what_does_not_lie_in_rows_is_stacked(gap: int) -> None:
    """Other variables between, or the periods in another order."""
    periods = variables()
    order = periods if gap else [periods[0], periods[2], periods[1]]
    packed, read = packed_in([each for period in order for each in period], gap)
    with using(packed):
        found = blocks(periods)
    assert len(found) == len(SHAPES) and not read
    check(found, periods)


def test_what_all_periods_share_is_repeated() -> None:
    shared = tf.constant([[1.0, 2.0]])
    found = blocks([[shared, variable] for (variable, *_) in variables()])
    check(found, [[shared, variable] for (variable, *_) in variables()])
