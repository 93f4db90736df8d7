"""tf.data pipelines over isolated sources: endless batches that are a pure function of (seed, step).

A pipeline may start at any step and gives the same batches from there on as an uninterrupted one,
so resumed training is exact. Sources are drawn independently of each other: no batch contains
paired sources.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import tensorflow as tf

from tfsep.audio.front_end import rms
from tfsep.axes import Seed, Waves

_QUIET = 1e-4


class SourceData(Protocol):
    """A data set of isolated sources."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Return the names of the sources."""

    @property
    def sample_rate(self) -> int:
        """Return the sample rate in Hz."""

    @property
    def mixing_gains(self) -> tuple[float, ...]:
        """Return the gains a_1..a_N with which this data is mixed."""

    def draw(self, source: str, num: int, length: int, seed: Seed) -> Waves:
        """Draw ``num`` excerpts of one source, (num, length) float32, from two integers, in or out of a graph."""


# Python rewritten for the graph would wrap the one-line errors of ``draw`` in pages.
_as_written = tf.autograph.experimental.do_not_convert


def _steps(first_step: int) -> tf.data.Dataset:
    """Return the numbers of steps from ``first_step`` on."""
    return tf.data.Dataset.range(first_step, tf.int64.max)


def _deliver(dataset: tf.data.Dataset, parallel_calls: int) -> tf.data.Dataset:
    """Prefetch two batches, in their order."""
    options = tf.data.Options()
    options.deterministic = True
    options.threading.private_threadpool_size = parallel_calls
    return dataset.with_options(options).prefetch(2)


def each_step(draw: Callable[[tf.Tensor], tf.Tensor], first_step: int = 0, parallel_calls: int = 1) -> tf.data.Dataset:
    """Return the endless data set of ``draw(step)``, step an int64 scalar, from ``first_step`` on."""
    return _deliver(_steps(first_step).map(_as_written(draw), num_parallel_calls=parallel_calls), parallel_calls)


def excerpts(
    data: SourceData, source: str, length: int, batch_size: int, seed: int, first_step: int = 0, parallel_calls: int = 1
) -> tf.data.Dataset:
    """Return endless batches of one isolated source, (batch, time) float32, from ``first_step`` on."""

    def draw(step: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(data.draw(source, batch_size, length, tf.stack([seed, step])), (batch_size, length))

    return each_step(draw, first_step, parallel_calls)


def remixes(
    data: SourceData, length: int, batch_size: int, seed: int, first_step: int = 0, parallel_calls: int = 1
) -> tf.data.Dataset:
    """Return endless batches of unpaired sources to be mixed, (batch, source, time) float32, each drawn by itself."""

    def draw(step: tf.Tensor) -> tf.Tensor:
        each = [data.draw(source, batch_size, length, tf.stack([seed, step])) for source in data.sources]
        return tf.ensure_shape(tf.stack(each, axis=1), (batch_size, len(data.sources), length))

    return each_step(draw, first_step, parallel_calls)


def excerpts_and_backgrounds(
    data: SourceData,
    source: str,
    background: SourceData,
    share: float,
    length: int,
    batch_size: int,
    seed: int,
    first_step: int = 0,
    parallel_calls: int = 1,
) -> tf.data.Dataset:
    """Return endless batches of one isolated source and of backgrounds for it, both (batch, time) float32.

    A background has an RMS of 1. In a ``share`` of examples it is the sum of one or more random
    sources of ``background`` without ``source`` itself, each drawn by itself; else it is white
    noise.
    """
    others = [name for name in background.sources if name != source]

    def draw(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pair = tf.stack([seed, step])
        wave = tf.ensure_shape(data.draw(source, batch_size, length, pair), (batch_size, length))
        each = tf.stack([background.draw(name, batch_size, length, pair + [1, 0]) for name in others], axis=1)
        chance = tf.random.stateless_uniform((batch_size, len(others)), pair, alg="philox")
        chosen = (chance < 0.6) | (chance >= tf.reduce_max(chance, axis=1, keepdims=True))
        rest = tf.reduce_sum(tf.where(chosen[..., tf.newaxis], each, 0.0), axis=1)
        level = rms(rest)
        noise = tf.random.stateless_normal((batch_size, length), pair, alg="philox")
        recorded = tf.random.stateless_uniform((batch_size, 1), pair + [2, 0], alg="philox") < share
        audible = recorded & (level > _QUIET)
        return wave, tf.ensure_shape(tf.where(audible, rest / tf.maximum(level, _QUIET), noise), (batch_size, length))

    return each_step(draw, first_step, parallel_calls)
