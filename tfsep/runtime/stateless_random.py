r"""Random numbers from stateless seeds: the same whether a graph runs as it is or is compiled by XLA.

TensorFlow's stateless kernels scramble a seed by one Philox block, count through Philox blocks and
turn their bits into numbers: :math:`u = b / 2^{23}` from the low 23 bits b of each, and of two of
them, by Box and Muller,

.. math:: \sin(2 \pi u_1) \sqrt{-2 \log u_0}, \qquad \cos(2 \pi u_1) \sqrt{-2 \log u_0}.

XLA has the same Philox blocks, but reads a negative seed as an unsigned one, takes the high bits
and lays pairs out in another order: the same call draws other numbers there. Within
:func:`portable` the functions below therefore do those steps themselves, from the bits; elsewhere
they call the kernels, which are faster. Both agree to rounding, and seeds agree exactly.

A seed is two int32, or (row, 2): one for each row of what is drawn, which then does not depend on
the other rows (:mod:`tfsep.runtime.row_random`).

Sources: Salmon et al. 2011 (Philox); Box and Muller 1958;
tensorflow/core/lib/random/random_distributions.h and
tensorflow/core/kernels/stateless_random_ops.cc (GenerateKey).
"""

from __future__ import annotations

import contextlib
import contextvars
import math
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import tensorflow as tf

from tfsep.axes import Seed
from tfsep.runtime import row_random

#: Lengths of axes; a tensor where some are unknown while a graph is traced.
Shape: TypeAlias = Sequence[int] | tf.Tensor

_PHILOX = 1
_SCRAMBLE = 0x02461E293EC8F720
_LEAST_UNIFORM = 1e-7
_portable: contextvars.ContextVar[bool] = contextvars.ContextVar("portable", default=False)


@contextlib.contextmanager
def portable() -> Iterator[None]:
    """Draw the numbers of the plain graph under XLA too, in what is traced in this block."""
    token = _portable.set(True)
    try:
        yield
    finally:
        _portable.reset(token)


def is_portable() -> bool:
    """Tell whether the code is being traced for XLA, within :func:`portable`."""
    return _portable.get()


def fold(seed: tf.Tensor, number: tf.Tensor | int) -> tf.Tensor:
    """Return another seed for each number, of the seed's shape; numbers are one or, for (row, 2) seeds, (row,)."""
    if has_rows(seed):
        return row_random.fold(seed, number)
    if not is_portable():
        return tf.random.experimental.stateless_fold_in(seed, number)
    return tf.stack([_bits([], seed), tf.cast(number, tf.int32)])


def split(seed: tf.Tensor, num: int) -> tf.Tensor:
    """Return independent seeds from one: (num,) + the seed's shape, int32."""
    if has_rows(seed):
        return row_random.split(seed, num)
    return _bits([num, 2], seed) if is_portable() else tf.random.split(seed, num)


def uniform(shape: Shape, seed: tf.Tensor, dtype: tf.DType = tf.float32) -> tf.Tensor:
    """Draw numbers in [0, 1) of a shape, float32 or float64.

    Args:
        shape: of the draws; rows come first for (row, 2) seeds. It must be known, and the numbers
            float32, within :func:`portable` for a seed of two.
        seed: two int32, or (row, 2).
        dtype: of the numbers.
    """
    if has_rows(seed):
        return tf.reshape(row_random.uniform(_row_size(shape), seed, dtype), shape)
    if not is_portable():
        return tf.random.stateless_uniform(shape, seed, dtype=dtype, alg="philox")
    return _unit(_bits(shape, seed))


def normal(shape: Shape, seed: tf.Tensor, dtype: tf.DType = tf.float32) -> tf.Tensor:
    """Draw standard normal numbers of a shape; see :func:`uniform`."""
    if has_rows(seed):
        return tf.reshape(row_random.normal(_row_size(shape), seed, dtype), shape)
    if not is_portable():
        return tf.random.stateless_normal(shape, seed, dtype=dtype, alg="philox")
    size = math.prod(shape)
    first, second = tf.unstack(_unit(_bits([-(-size // 2), 2], seed)), axis=1)
    radius, angle = tf.sqrt(-2.0 * tf.math.log(tf.maximum(first, _LEAST_UNIFORM))), 2.0 * math.pi * second
    pairs = tf.stack([tf.sin(angle) * radius, tf.cos(angle) * radius], axis=1)
    return tf.reshape(tf.reshape(pairs, [-1])[:size], shape)


def seeds_of_rows(seed: Seed, num: int | tf.Tensor) -> tf.Tensor:
    """Return a seed for each of ``num`` rows, (num, 2) int32: those given, or row by row folded from one."""
    seed = tf.cast(tf.convert_to_tensor(seed), tf.int32)
    if has_rows(seed):
        return seed
    return row_random.fold(tf.tile(seed[tf.newaxis], [num, 1]), tf.range(num))


def seeds_of_draws(seeds: tf.Tensor, num: int) -> tf.Tensor:
    """Return seeds for ``num`` draws of each row, draw by draw: (row, 2) int32 -> (num * row, 2)."""
    return tf.reshape(row_random.split(seeds, num), [-1, 2])


def has_rows(seed: tf.Tensor) -> bool:
    """Tell whether a seed is one for each row, (row, 2), rather than two integers."""
    return tf.convert_to_tensor(seed).shape.rank == 2


def _row_size(shape: Shape) -> int | tf.Tensor:
    """Return how many numbers a row of a shape has."""
    if isinstance(shape, tf.Tensor):
        known = tf.get_static_value(shape, partial=True)
        if known is None or None in [None if each is None else int(each) for each in known[1:]]:
            return tf.reduce_prod(shape[1:])
        shape = [0, *(int(each) for each in known[1:])]
    return math.prod(shape[1:])


def shape_of(values: tf.Tensor) -> Shape:
    """Return the shape of a tensor, as numbers where all are known and else as a tensor."""
    return values.shape.as_list() if values.shape.is_fully_defined() else tf.shape(values)


def _unit(bits: tf.Tensor) -> tf.Tensor:
    """Turn the low 23 bits of int32 into float32 in [0, 1)."""
    one_to_two = tf.bitwise.bitwise_or(tf.bitwise.bitwise_and(bits, 0x7FFFFF), 0x3F800000)
    return tf.bitcast(one_to_two, tf.float32) - 1.0


def _bits(shape: Shape, seed: tf.Tensor) -> tf.Tensor:
    """Return Philox bits as int32 of a shape, those of TensorFlow's kernels for this seed."""
    wide = tf.cast(tf.cast(seed, tf.int64), tf.uint64)
    mixed = tf.cast(_philox([4], tf.constant([_SCRAMBLE], tf.uint64), wide, tf.uint32), tf.uint64)
    low_key, high_key, low_count, high_count = tf.unstack(mixed)
    key = tf.bitwise.bitwise_or(low_key, tf.bitwise.left_shift(high_key, 32))
    count = tf.bitwise.bitwise_or(low_count, tf.bitwise.left_shift(high_count, 32))
    return _philox(shape, key[tf.newaxis], tf.stack([tf.zeros_like(count), count]), tf.int32)


def _philox(shape: Shape, key: tf.Tensor, counter: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    return tf.raw_ops.StatelessRandomUniformFullIntV2(shape=shape, key=key, counter=counter, alg=_PHILOX, dtype=dtype)
