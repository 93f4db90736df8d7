"""Split long signals into overlapping segments, and join them under weights that sum to one.

A signal x becomes segments x_i[n] = x[i hop + n]. The last one ends with the signal and so begins
less than a hop after the one before it: every segment is full wherever the signal is as long as
one. The samples that it repeats are context, and are left out when segments are joined. A shorter
signal is padded with zeros. Segments are joined as

    y[t] = sum_i v[t - i hop] x_i[t - i hop] / sum_i v[t - i hop],

so the weights of every sample sum to one, at both edges too, and ``join(split(x))`` is x. The
window v is strictly positive. As a "trapezoid" it is flat in the middle, with straight ramps as
long as the overlap (half a segment at most); as a "hann" it is sin^2(pi (n + 1/2) / segment). With
hop == segment every weight is one: the segments are concatenated.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfsep.audio.stft import Length, static_or_dynamic

SHAPES = ("trapezoid", "hann")


def check_segmenting(segment: int, hop: int) -> None:
    """Refuse a hop outside 1..segment, both in samples, with a ValueError."""
    if segment < 1:
        raise ValueError(f"segment must be at least 1 sample, got {segment}")
    if not 1 <= hop <= segment:
        raise ValueError(f"hop must lie in 1..segment = 1..{segment}, got {hop}")


def windows(segment: int, hop: int, shape: str = "trapezoid") -> np.ndarray:
    """Return the weights of one segment inside a long signal: all segments' weights sum to one at every sample.

    Args:
        segment: Samples of a segment.
        hop: Samples between the starts of two segments, in 1..segment.
        shape: "trapezoid" or "hann".

    Returns:
        (segment,) float64, strictly positive, with sum_j weights[n + j hop] = 1 for every n.

    Raises:
        ValueError: for a hop outside 1..segment or an unknown shape.
    """
    check_segmenting(segment, hop)
    if shape not in SHAPES:
        raise ValueError(f"shape must be one of {', '.join(SHAPES)}, got {shape!r}")
    centre = np.arange(segment) + 0.5
    if hop == segment:
        return np.ones(segment)
    if shape == "hann":
        window = np.sin(np.pi * centre / segment) ** 2
    else:
        ramp = min(segment - hop, segment / 2)
        window = np.minimum(1.0, np.minimum(centre, segment - centre) / ramp)
    overlaps = -(-segment // hop)
    period = np.pad(window, (0, overlaps * hop - segment)).reshape(overlaps, hop).sum(axis=0)
    weights: np.ndarray = window / np.tile(period, overlaps)[:segment]
    return weights


def num_segments(length: Length, segment: int, hop: int) -> Length:
    """Return the number of segments that cover ``length`` samples: 1 + ceil(max(length - segment, 0) / hop)."""
    if isinstance(length, tf.Tensor):
        return 1 + (tf.maximum(length - segment, 0) + hop - 1) // hop
    return 1 + -(-max(length - segment, 0) // hop)


def split(x: tf.Tensor, segment: int, hop: int) -> tf.Tensor:
    """Split a signal into overlapping segments.

    Args:
        x: (..., time), tensor or array, with at least one sample.
        segment: Samples of a segment.
        hop: Samples between the starts of two segments, in 1..segment.

    Returns:
        (..., num_segments, segment); the last segment ends with the signal, zeros follow one
        shorter than a segment.

    Raises:
        ValueError: for a hop outside 1..segment, or no samples.
    """
    check_segmenting(segment, hop)
    x = tf.convert_to_tensor(x)
    time = static_or_dynamic(x, -1)
    if isinstance(time, int) and time < 1:
        raise ValueError(f"a signal must have at least 1 sample, got {time}")
    count = num_segments(time, segment, hop)
    spare = (max if isinstance(time, int) else tf.maximum)(time - segment, 0)
    starts = tf.minimum(tf.range(count) * hop, spare)
    padded = tf.pad(x, [[0, 0]] * (x.shape.rank - 1) + [[0, spare + segment - time]])
    return tf.gather(padded, starts[:, tf.newaxis] + tf.range(segment), axis=-1)


def join(segments: tf.Tensor, hop: int, length: Length, shape: str = "trapezoid") -> tf.Tensor:
    """Join segments into a signal, under weights that sum to one at every sample.

    Args:
        segments: (..., num_segments, segment), tensor or array; the segment length must be known at
            tracing time.
        hop: Samples between the starts of two segments, in 1..segment.
        length: Samples of the signal, a number or a scalar integer tensor, of which :func:`split`
            makes as many segments.
        shape: "trapezoid" or "hann".

    Returns:
        (..., length): the weighted mean of whatever segments cover a sample.

    Raises:
        ValueError: for a hop outside 1..segment, an unknown shape, a segment length that is not
            known, or a length of another number of segments.
    """
    segments = tf.convert_to_tensor(segments)
    count, segment = static_or_dynamic(segments, -2), segments.shape[-1]
    if segment is None:
        raise ValueError(f"the segment length must be known at tracing time, got shape {segments.shape}")
    window = tf.constant(windows(segment, hop, shape), segments.dtype)
    covered = (count - 1) * hop + segment
    if isinstance(count, int) and isinstance(length, int) and num_segments(length, segment, hop) != count:
        shortest = 1 if count == 1 else covered - hop + 1
        raise ValueError(f"length must lie in {shortest}..{covered} for {count} segments, got {length}")
    repeated = tf.where(count > 1, covered - length, 0)
    late = tf.pad(segments[..., -1:, :], [[0, 0]] * (segments.shape.rank - 1) + [[0, segment]])
    late = late[..., repeated : repeated + segment]
    segments = tf.concat([segments[..., :-1, :], tf.ensure_shape(late, segments.shape[:-2] + [1, segment])], axis=-2)
    if hop == segment:
        joined = tf.reshape(segments, tf.concat([tf.shape(segments)[:-2], [count * segment]], axis=0))
        known = count * segment if isinstance(count, int) else None
        return tf.ensure_shape(joined, segments.shape[:-2] + [known])[..., :length]
    total = tf.signal.overlap_and_add(segments * window, hop)
    weight = tf.signal.overlap_and_add(tf.ones([count, 1], segments.dtype) * window, hop)
    return (total / weight)[..., :length]
