"""Draws of samplers: one seed, one set of numbers, in a plain graph and under XLA."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep.runtime import stateless_random


def draws(seed: Any) -> tuple[tf.Tensor, ...]:
    folded = stateless_random.fold(seed, 3)
    return (
        folded,
        stateless_random.split(folded, 3),
        stateless_random.uniform([3, 5], seed),
        stateless_random.normal([3, 7, 11], seed),
    )


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("seed", [(3, 4), (-1, 77), (5, -9), (-(2**31), 2**31 - 1)])
def test_portable_draws_are_those_of_the_kernels(seed: tuple[int, int], compiled: bool) -> None:
    def traced(pair: tf.Tensor) -> tuple[tf.Tensor, ...]:
        with stateless_random.portable():
            return draws(pair)

    pair = tf.constant(seed, tf.int32)
    folded, halves, flat, bell = tf.function(traced, jit_compile=compiled, autograph=False)(pair)
    expected = draws(pair)
    np.testing.assert_array_equal(folded, tf.random.experimental.stateless_fold_in(pair, 3))
    np.testing.assert_array_equal(halves, expected[1])
    np.testing.assert_array_equal(flat, tf.random.stateless_uniform([3, 5], pair, alg="philox"))
    np.testing.assert_allclose(bell, tf.random.stateless_normal([3, 7, 11], pair, alg="philox"), atol=5e-6)


def test_portable_ends_with_its_block() -> None:
    assert not stateless_random.is_portable()
    with pytest.raises(ZeroDivisionError), stateless_random.portable():
        assert stateless_random.is_portable()
        raise ZeroDivisionError
    assert not stateless_random.is_portable()
