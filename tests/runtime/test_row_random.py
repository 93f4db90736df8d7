"""Draws of rows: each by its own seed, in any batch, in a plain graph and under XLA, of the right distribution."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tfsep.runtime import row_random, stateless_random

SEEDS = np.array([[3, 4], [-1, 77], [3, 4], [-(2**31), 2**31 - 1]], np.int32)


def philox(counter: list[int], key: list[int]) -> list[int]:
    """Return a block of Philox 4x32-10 by Python's integers."""
    words = list(counter)
    for number in range(10):
        first, second = words[0] * 0xD2511F53, words[2] * 0xCD9E8D57
        keys = [(key[0] + number * 0x9E3779B9) % 2**32, (key[1] + number * 0xBB67AE85) % 2**32]
        words = [(second >> 32) ^ words[1] ^ keys[0], second % 2**32, (first >> 32) ^ words[3] ^ keys[1], first % 2**32]
    return words


def test_blocks_are_those_of_the_reference() -> None:
    """The known answer of Random123 for all ones, and ours against the same rounds for what we draw."""
    ones = 2**32 - 1
    assert philox([ones] * 4, [ones] * 2) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]
    drawn = row_random.uniform(8, tf.constant(SEEDS)).numpy() * 2**24
    for row, seed in enumerate(SEEDS.astype(int)):
        key = [int(word) % 2**32 for word in seed]
        blocks = [philox([block, 0, 0, 0], key) for block in range(2)]
        expected = [block[word] >> 8 for word in range(4) for block in blocks]
        np.testing.assert_array_equal(drawn[row], expected)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_row_draws_the_same_in_any_batch(jit_compile: bool) -> None:
    def draws(seeds: tf.Tensor, num: int) -> list[tf.Tensor]:
        folded = stateless_random.fold(seeds, 3)
        halves = stateless_random.split(folded, 3)
        flat = stateless_random.uniform([num, 5], halves[0])
        return [folded, halves[1], flat, stateless_random.normal([num, 7, 11], halves[2])]

    whole = tf.function(draws, jit_compile=jit_compile, autograph=False)(tf.constant(SEEDS), 4)
    for row in range(4):
        for several, one in zip(whole, draws(tf.constant(SEEDS[row : row + 1]), 1), strict=True):
            np.testing.assert_allclose(several[row], one[0], atol=3e-6)
    for each in whole:
        np.testing.assert_array_equal(each[0], each[2])
        assert not np.array_equal(each[0], each[1])


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_numbers_have_their_distribution(dtype: tf.DType) -> None:
    num, size = 64, 4097
    seeds = stateless_random.seeds_of_rows((5, 6), num)
    assert len(np.unique(seeds, axis=0)) == num
    flat = row_random.uniform(size, seeds, dtype).numpy().astype(np.float64)
    assert flat.shape == (num, size) and flat.min() >= 0.0 and flat.max() < 1.0
    counts = np.histogram(flat, 64, (0.0, 1.0))[0] / (num * size / 64)
    np.testing.assert_allclose(counts, 1.0, atol=5 * (64 / (num * size)) ** 0.5)
    bell = row_random.normal(size, seeds, dtype).numpy().astype(np.float64)
    error = 5 / (num * size) ** 0.5
    np.testing.assert_allclose([bell.mean(), (bell**2).mean(), (bell**4).mean() / 3], [0, 1, 1], atol=4 * error)
    for values in (bell, bell.T):
        values = values - values.mean(axis=0)
        related = (values[:, :-1] * values[:, 1:]).mean()
        assert abs(related) < error


def test_seeds_of_one_and_of_draws_differ() -> None:
    rows = stateless_random.seeds_of_rows((1, 2), 50)
    draws = stateless_random.seeds_of_draws(rows, 4)
    folded = [stateless_random.fold(rows, number) for number in range(-1, 4)]
    every = np.concatenate([rows, draws, *folded])
    assert len(np.unique(every, axis=0)) == len(every)
    np.testing.assert_array_equal(stateless_random.seeds_of_draws(rows[7:8], 4), tf.reshape(draws, [4, 50, 2])[:, 7])
