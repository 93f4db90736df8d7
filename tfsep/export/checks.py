"""Rules of a request, within the served graph: what breaks one is answered by one line that names it.

A broken rule ends the request with the status INVALID_ARGUMENT and "assertion failed: [RULE, got
VALUE]"; the server goes on. Rules are checked in their order, each after the one before it, so the
line names the first that is broken. What is checked must have no known shape in the graph: clients
can send any, and TensorFlow would take a check of a known one for settled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf

#: Samples beyond this many times full scale are refused, as in files.
LARGEST_SAMPLE = 1e10


@dataclass(frozen=True)
class Bound:
    """How much sound a request may have: the work and the memory of an answer grow with it.

    A row of one sample is as much work as one of a whole segment, and counts as one.

    Attributes:
        max_seconds: in all rows together.
        most: the same in samples.
        segment: samples as which a row counts at least.
    """

    max_seconds: float
    most: int
    segment: int


def checked_waveform(waveform: tf.Tensor, axes: Sequence[str], bound: Bound) -> tf.Tensor:
    """Return a waveform of the right rank that is not empty, finite and not too long.

    Args:
        waveform: float32, of a shape that is not known.
        axes: names of its axes, such as ["batch", "time", "2"]; a number is the length of its axis.
        bound: on the samples of all rows; channels count once.
    """
    unknown, shape = waveform, tf.shape(waveform)
    right = f"waveform must be [{', '.join(axes)}]"
    unknown = require(tf.equal(tf.rank(unknown), len(axes)), f"{right}, got rank {{}}", tf.rank(unknown), unknown)
    for axis, name in enumerate(axes):
        if name.isdecimal():
            unknown = require(tf.equal(tf.shape(unknown)[axis], int(name)), f"{right}, got shape {{}}", shape, unknown)
    waveform = shaped(unknown, [int(name) if name.isdecimal() else None for name in axes])
    rule = "waveform must have at least one sample, got shape {}"
    waveform = require(tf.size(waveform) > 0, rule, shape, waveform)
    rows, time = tf.unstack(tf.shape(waveform, tf.int64)[:2])
    total = rows * tf.maximum(time, bound.segment)
    rule = (
        f"waveform must be at most {bound.max_seconds:g} s in all, which is {bound.most} samples, "
        f"a row counted as at least one segment of {bound.segment}; got {{}}"
    )
    waveform = require(total <= bound.most, rule, total, waveform)
    finite = tf.reduce_all(tf.math.is_finite(waveform), axis=list(range(1, len(axes))))
    rule = "waveform must be finite, got NaN or infinity in row {}"
    waveform = require(tf.reduce_all(finite), rule, _first(~finite), waveform)
    loudest = tf.reduce_max(tf.abs(waveform), axis=list(range(1, len(axes))))
    rule = f"waveform must be at most {LARGEST_SAMPLE:g} times full scale, got more in row {{}}"
    return require(tf.reduce_all(loudest <= LARGEST_SAMPLE), rule, _first(loudest > LARGEST_SAMPLE), waveform)


def checked_answer(stems: tf.Tensor) -> tf.Tensor:
    """Return stems (batch, ...), which must be finite: a model may fail on what its rules allow."""
    finite = tf.reduce_all(tf.math.is_finite(stems), axis=list(range(1, stems.shape.rank)))
    return require(tf.reduce_all(finite), "the model has no finite answer to row {}", _first(~finite), stems)


def checked_seeds(seed: tf.Tensor, waveform: tf.Tensor) -> tf.Tensor:
    """Return seeds, of which there must be one for each row of a waveform, from 0: (batch,) int32."""
    right = tf.equal(tf.size(seed), tf.shape(waveform)[0]) & tf.equal(tf.rank(seed), 1)
    seed = require(right, "seed must be [batch], one for each waveform, got shape {}", tf.shape(seed), seed)
    seed = shaped(seed, [None])
    return require(tf.reduce_all(seed >= 0), "seed must be at least 0, got {}", tf.reduce_min(seed), seed)


def require(condition: tf.Tensor, rule: str, value: tf.Tensor, result: tf.Tensor) -> tf.Tensor:
    """Return ``result`` where a condition holds; else the request ends with the rule and the value."""
    with tf.control_dependencies([tf.debugging.Assert(condition, [tf.strings.format(rule, value)])]):
        return tf.identity(result)


def shaped(values: tf.Tensor, sizes: Sequence[int | None]) -> tf.Tensor:
    """Tell the graph a shape that was checked, None being any size.

    By reshaping: from an assertion of the shape TensorFlow would conclude that checks before it hold.
    """
    shape = tf.shape(values)
    return tf.reshape(values, [shape[axis] if size is None else size for axis, size in enumerate(sizes)])


def _first(broken: tf.Tensor) -> tf.Tensor:
    """Return the number of the first row that breaks a rule, (batch,) bool."""
    return tf.argmax(tf.cast(broken, tf.int32), output_type=tf.int32)
