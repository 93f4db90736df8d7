"""Stacked parameters: views of packed vectors where they lie side by side there, copies else; the same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfsep.bijectors.reversible.stacked_parameters import StackedParameters, stack
from tfsep.runtime.packed_weights import PackedWeights, using

SHAPES = ((2, 3), (4,), (1, 5))
BLOCKS = 3


def variables() -> list[list[keras.Variable]]:
    """Return the parameters of three blocks, all different."""
    random = np.random.default_rng(0)
    return [[keras.Variable(random.normal(size=shape)) for shape in SHAPES] for _ in range(BLOCKS)]


def packed_in(order: Sequence[keras.Variable], gap: int = 0) -> tuple[PackedWeights, list[Any]]:
    """Return one vector of variables in this order, ``gap`` zeros behind each, and a list of what is read from it."""
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


def check(found: Sequence[StackedParameters], blocks: Sequence[Sequence[Any]]) -> None:
    """Compare every parameter of every block with what its row holds."""
    assert sorted(member for each in found for member in each.members) == list(range(len(blocks[0])))
    for each in found:
        columns = each.split(each.matrix)
        for member, shape, column in zip(each.members, each.shapes, columns, strict=True):
            for number, block in enumerate(blocks):
                expected = tf.convert_to_tensor(block[member])
                np.testing.assert_array_equal(tf.reshape(column[number], shape), expected)


def test_without_packed_weights_everything_is_copied() -> None:
    blocks = variables()
    found = stack(blocks)
    assert len(found) == len(SHAPES)
    check(found, blocks)


def test_what_lies_side_by_side_is_a_view_of_the_vector() -> None:
    blocks = variables()
    packed, read = packed_in([each for block in blocks for each in block])
    with using(packed):
        found = stack(blocks)
    assert [each.members for each in found] == [(0, 1, 2)] and len(read) == BLOCKS * len(SHAPES)
    check(found, blocks)


def test_a_block_may_begin_elsewhere_and_lie_in_another_order() -> None:
    blocks = variables()
    before = keras.Variable(np.zeros(7))
    packed, _ = packed_in([before, *(block[k] for block in blocks for k in (2, 0, 1))])
    with using(packed):
        found = stack(blocks)
    assert [each.members for each in found] == [(2, 0, 1)]
    check(found, blocks)


@pytest.mark.parametrize("gap", [0, 1])
def test_what_does_not_lie_side_by_side_is_copied(gap: int) -> None:
    """Other variables between, or the blocks in another order."""
    blocks = variables()
    order = blocks if gap else [blocks[0], blocks[2], blocks[1]]
    packed, read = packed_in([each for block in order for each in block], gap)
    with using(packed):
        found = stack(blocks)
    assert len(found) == len(SHAPES) and not read
    check(found, blocks)


def test_what_all_blocks_share_is_repeated() -> None:
    shared = tf.constant([[1.0, 2.0]])
    found = stack([[shared, variable] for (variable, *_) in variables()])
    check(found, [[shared, variable] for (variable, *_) in variables()])
