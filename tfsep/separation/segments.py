"""Waveforms of any length through a posterior of one segment length, as a pure graph.

The waveform is split into overlapping segments (the last one ends with it), the segments are
separated in chunks of a few, and the results are crossfaded with weights that sum to one. Chunks
have few possible sizes, the powers of two up to ``chunk_size``, so that a posterior which compiles
for a size does so a handful of times; the last chunk is filled up with zeros. Segment number i draws
its random numbers from the seed folded by i: the result depends on the waveform and its seed, never
on the chunks, on other waveforms of the batch, or on the blocks in which the samples arrived
(:mod:`tfsep.separation.stream` follows the same rule).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import tensorflow as tf

from tfsep.audio import overlap_add
from tfsep.axes import Seed, TensorLike
from tfsep.runtime.stateless_random import fold, has_rows
from tfsep.separation import consistency

CHUNK_SIZE = 8


class SegmentPosterior(Protocol):
    """What separation needs of a posterior; every :class:`tfsep.posteriors.base.Posterior` has it."""

    num_sources: int
    segment: int
    gains: tuple[float, ...]

    def sample(self, mixture: TensorLike, num_samples: int, seed: Seed) -> tf.Tensor:
        """Draw sources before gains: (batch, segment) -> (num_samples, batch, source, segment)."""


def chunk_sizes(largest: int) -> tuple[int, ...]:
    """Return the allowed chunk sizes 1, 2, 4, ... up to ``largest``.

    Raises:
        ValueError: if ``largest`` is no power of two.
    """
    if largest < 1 or largest & (largest - 1):
        raise ValueError(f"chunk_size must be a power of two, got {largest}")
    return tuple(2**power for power in range(largest.bit_length()))


def chunk_within(segments: float, most: int = CHUNK_SIZE) -> int:
    """Return the largest allowed chunk size of at most ``segments`` and ``most``, a power of two; at least 1."""
    return max((size for size in chunk_sizes(most) if size <= segments), default=1)


def default_hop(segment: int, overlap: float = 0.25) -> int:
    """Return the samples from one segment to the next when neighbours share the fraction ``overlap``.

    Raises:
        ValueError: for an overlap outside 0..0.9.
    """
    if not 0.0 <= overlap <= 0.9:
        raise ValueError(f"overlap must lie in 0..0.9 of a segment, got {overlap}")
    return max(1, segment - round(segment * overlap))


def separate_chunk(posterior: SegmentPosterior, segments: TensorLike, num_samples: int, seed: Seed) -> tf.Tensor:
    """Separate a few segments into stems at mixture scale: (batch, segment) -> (batch, num_samples, source, segment).

    The seed is one for each segment, (batch, 2) int32: a segment gives the same stems in any chunk.

    A segment of nothing but zeros gives zeros, whatever the posterior makes of it.
    """
    segments = tf.convert_to_tensor(segments, tf.float32)
    sources = posterior.sample(segments, num_samples, seed)
    stems = consistency.to_mixture_scale(sources, posterior.gains)
    audible = tf.reduce_any(segments != 0.0, axis=-1)[tf.newaxis, :, tf.newaxis, tf.newaxis]
    return tf.transpose(tf.where(audible, stems, tf.zeros_like(stems)), [1, 0, 2, 3])


def separate_segments(
    posterior: SegmentPosterior, segments: tf.Tensor, num_samples: int, seeds: tf.Tensor, chunk_size: int = CHUNK_SIZE
) -> tf.Tensor:
    """Separate any number of segments, chunk after chunk: (num, segment) -> (num, num_samples, source, segment).

    Seeds are (num, 2) int32; the chunks have no part in what is drawn.
    """
    sizes = tf.constant(chunk_sizes(chunk_size))
    num = tf.shape(segments)[0]
    num_chunks = -(-num // chunk_size)

    def separate_one(chunk: tf.Tensor, results: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
        part = segments[chunk * chunk_size : (chunk + 1) * chunk_size]
        count = tf.shape(part)[0]
        size = tf.reduce_min(tf.boolean_mask(sizes, sizes >= count))
        part = tf.ensure_shape(tf.pad(part, [[0, size - count], [0, 0]]), [None, posterior.segment])
        mine = tf.pad(seeds[chunk * chunk_size : (chunk + 1) * chunk_size], [[0, size - count], [0, 0]])
        mine = tf.ensure_shape(mine, [None, 2])
        return chunk + 1, results.write(chunk, separate_chunk(posterior, part, num_samples, mine)[:count])

    element = [None, num_samples, posterior.num_sources, posterior.segment]
    results = tf.TensorArray(tf.float32, size=num_chunks, infer_shape=False, element_shape=element)
    _, results = tf.while_loop(
        lambda chunk, _: chunk < num_chunks, separate_one, (tf.constant(0), results), parallel_iterations=1
    )
    return results.concat()


def seeds_of_segments(seed: Seed, batch: int | tf.Tensor, num_segments: int | tf.Tensor) -> tf.Tensor:
    """Return the seed of each segment of waveforms, segment by segment: (num_segments * batch, 2) int32.

    Args:
        seed: two integers for all waveforms, or (batch, 2).
        batch: number of waveforms.
        num_segments: of each.
    """
    seed = tf.cast(tf.convert_to_tensor(seed), tf.int32)
    rows = seed if has_rows(seed) else tf.tile(seed[tf.newaxis], [batch, 1])
    return fold(tf.tile(rows, [num_segments, 1]), tf.repeat(tf.range(num_segments), batch))


def separate_waveform(
    posterior: SegmentPosterior,
    mixture: TensorLike,
    hop: int | None = None,
    num_samples: int = 1,
    seed: Seed = (0, 0),
    chunk_size: int = CHUNK_SIZE,
    graph: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None = None,
) -> tf.Tensor:
    """Separate waveforms of any one length, at the posterior's own sample rate.

    Args:
        posterior: draws sources for one segment length.
        mixture: (batch, time) float32; both sizes may be unknown when the graph is traced.
        hop: samples from one segment to the next, 1..segment; None overlaps by a quarter.
        num_samples: posterior samples.
        seed: two integers for all waveforms, or (batch, 2); the same seed gives the same stems, and a
            waveform the same in any batch.
        chunk_size: segments separated at once, a power of two.
        graph: separates segments by their seeds, in place of :func:`separate_segments`.

    Returns:
        (num_samples, batch, source, time) float32 at mixture scale a_k s_k; over sources they sum
        to the mixture.
    """
    mixture = tf.convert_to_tensor(mixture, tf.float32)
    batch, time = tf.unstack(tf.shape(mixture))
    segment, num_sources = posterior.segment, posterior.num_sources
    hop = default_hop(segment) if hop is None else hop
    segments = overlap_add.split(mixture, segment, hop)
    num_segments = tf.shape(segments)[1]
    by_time = tf.reshape(tf.transpose(segments, [1, 0, 2]), [-1, segment])
    seeds = seeds_of_segments(seed, batch, num_segments)
    if graph is None:
        stems = separate_segments(posterior, by_time, num_samples, seeds, chunk_size)
    else:
        stems = graph(by_time, seeds)
    stems = tf.reshape(stems, [num_segments, batch, num_samples, num_sources, segment])
    stems = overlap_add.join(tf.transpose(stems, [2, 1, 3, 0, 4]), hop, time)
    return consistency.project_stems(mixture, stems, posterior.gains)
