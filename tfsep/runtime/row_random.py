r"""Random numbers for rows of a batch, each row with a seed of its own: a row draws the same in any batch.

One call of a TensorFlow kernel has one seed, so what it gives a row depends on where the row stands
in its batch. Here every number is a function of the seed of its row and of the position in the row:
Philox blocks with the seed as key and the position as counter, by elementwise operations on 64-bit
integers, so that all rows are drawn at once, on every device and under XLA alike.

Folding counts in another word of the counter than drawing, so that a folded seed is independent of
what was drawn by the seed it comes from.

Sources: Salmon et al. 2011 (Philox 4x32-10); Box and Muller 1958.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import tensorflow as tf

#: Four words of 32 bits in int64, each (row, block).
_Words: TypeAlias = tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_NUM_ROUNDS = 10
_MASK = 0xFFFFFFFF
_DRAWING, _FOLDING = 0, 1


def fold(seeds: tf.Tensor, numbers: tf.Tensor | int) -> tf.Tensor:
    """Return another seed of each row for each number.

    Args:
        seeds: (row, 2) int32.
        numbers: int32, one or (row,).

    Returns:
        (row, 2) int32.
    """
    counter = tf.reshape(tf.cast(numbers, tf.int64), [-1, 1]) & _MASK
    return _as_seeds(_philox(seeds, counter, _FOLDING)[:2])[:, 0]


def split(seeds: tf.Tensor, num: int) -> tf.Tensor:
    """Return independent seeds of each row: (row, 2) int32 -> (num, row, 2) int32."""
    counter = tf.range(num, dtype=tf.int64)[tf.newaxis]
    return tf.transpose(_as_seeds(_philox(seeds, counter, _FOLDING)[2:]), [1, 0, 2])


def uniform(size: int | tf.Tensor, seeds: tf.Tensor, dtype: tf.DType = tf.float32) -> tf.Tensor:
    """Draw numbers in [0, 1), float32 or float64: ``size`` for each row of seeds (row, 2), (row, size)."""
    parts = _units(seeds, -(-size // (4 if dtype == tf.float32 else 2)), dtype)
    return tf.concat(parts, axis=1)[:, :size]


def normal(size: int | tf.Tensor, seeds: tf.Tensor, dtype: tf.DType = tf.float32) -> tf.Tensor:
    """Draw standard normal numbers, float32 or float64: ``size`` for each row of seeds (row, 2), (row, size)."""
    units = _units(seeds, -(-size // (4 if dtype == tf.float32 else 2)), dtype)
    half = len(units) // 2
    parts = []
    for first, second in zip(units[:half], units[half:], strict=True):
        # In (0, 1], whose logarithm is finite.
        radius, angle = tf.sqrt(-2.0 * tf.math.log(1.0 - first)), math.tau * second
        parts += [radius * tf.sin(angle), radius * tf.cos(angle)]
    return tf.concat(parts, axis=1)[:, :size]


def _units(seeds: tf.Tensor, num_blocks: int | tf.Tensor, dtype: tf.DType) -> list[tf.Tensor]:
    """Return numbers in [0, 1), (row, block) each: four of 24 bits in float32, or two of 53 bits in float64."""
    words = _philox(seeds, tf.range(tf.cast(num_blocks, tf.int64))[tf.newaxis], _DRAWING)
    if dtype == tf.float32:
        return [tf.cast(_shifted(word, 8), tf.float32) * 2.0**-24 for word in words]
    pairs = ((words[0], words[1]), (words[2], words[3]))
    return [
        tf.cast(tf.bitwise.left_shift(high, tf.constant(21, tf.int64)) + _shifted(low, 11), tf.float64) * 2.0**-53
        for high, low in pairs
    ]


def _philox(seeds: tf.Tensor, counter: tf.Tensor, purpose: int) -> _Words:
    """Return Philox blocks with seeds (row, 2) as keys and counters (row or 1, block): four words, (row, block)."""
    keys = tf.cast(seeds, tf.int64) & _MASK
    key_0, key_1 = keys[:, :1], keys[:, 1:]
    zero = tf.zeros_like(counter)
    word_0, word_1, word_2, word_3 = counter, zero, zero, zero + purpose
    for _ in range(_NUM_ROUNDS):
        # The product may exceed 63 bits; what wraps around leaves the bits as they are.
        product_0, product_1 = word_0 * _MULTIPLIERS[0], word_2 * _MULTIPLIERS[1]
        word_0 = _shifted(product_1, 32) ^ word_1 ^ key_0
        word_1 = product_1 & _MASK
        word_2 = _shifted(product_0, 32) ^ word_3 ^ key_1
        word_3 = product_0 & _MASK
        key_0, key_1 = (key_0 + _KEY_STEPS[0]) & _MASK, (key_1 + _KEY_STEPS[1]) & _MASK
    return word_0, word_1, word_2, word_3


def _shifted(words: tf.Tensor, by: int) -> tf.Tensor:
    """Shift 64 bits to the right and keep the low 32."""
    return tf.bitwise.right_shift(words, tf.constant(by, tf.int64)) & _MASK


def _as_seeds(words: tuple[tf.Tensor, ...]) -> tf.Tensor:
    """Stack two words (row, number) to seeds (row, number, 2) int32."""
    signed = [tf.bitwise.bitwise_xor(word, 0x80000000) - 0x80000000 for word in words]
    return tf.cast(tf.stack(signed, axis=-1), tf.int32)
