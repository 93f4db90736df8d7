"""Waveforms of any length in flat memory: blocks in, aligned blocks of stems out.

The path of a block: soxr to the model's rate, overlapping segments, the posterior, crossfade, soxr
back to the file's rate, and there the exact projection onto the mixture, which is queued meanwhile.
Two channels may be separated as mid and side, and filtered together
(:mod:`tfsep.separation.stereo`), between the two resamplers. So the stems sum to the mixture at the
file's own rate; the band above the model's own goes to the stems with power at its edge
(:mod:`tfsep.separation.high_band`).

Segments, weights and random numbers are those of
:func:`tfsep.separation.segments.separate_waveform`, so both give the same stems; here only a few
segments are in memory at a time, whatever the length of the waveform.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from tfsep.audio import overlap_add
from tfsep.audio.resample import StreamResampler
from tfsep.errors import JobError
from tfsep.separation import consistency, high_band, stereo
from tfsep.separation.segments import chunk_sizes
from tfsep.separation.settings import EACH, WIENER

#: From segments (batch, segment) and, for each, its channel and its number in the waveform, (batch,
#: 2) int32, to stems (batch, num_samples, source, segment) at mixture scale.
Program: TypeAlias = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Plan:
    """How one model is run on a stream.

    Attributes:
        sample_rate: the model's, Hz.
        segment: samples that the model separates at once.
        hop: samples from one segment to the next, 1..segment.
        gains: a_1..a_N of the mixing model.
        num_samples: posterior samples drawn.
        chunk_size: segments separated at once, a power of two.
        stereo: how the channels of a song are separated, one of
            :data:`tfsep.separation.settings.STEREO_MODES`.
    """

    sample_rate: int
    segment: int
    hop: int
    gains: tuple[float, ...]
    num_samples: int
    chunk_size: int
    stereo: str = EACH

    @property
    def stems_shape(self) -> tuple[int, int]:
        """Return (num_samples, source), the leading axes of a block of stems."""
        return self.num_samples, len(self.gains)


class SegmentStream:
    """Overlapping segments at the model's rate, separated as they arrive.

    Args:
        program: separates a chunk of segments.
        plan: how the model is run.
        channels: of the waveform; each is separated on its own, and their stems are filtered
            together in the stereo mode "wiener".
    """

    def __init__(self, program: Program, plan: Plan, channels: int) -> None:
        """Start without any samples."""
        self._program, self._plan, self._channels = program, plan, channels
        self._sizes = np.array(chunk_sizes(plan.chunk_size))
        self._window = np.asarray(overlap_add.windows(plan.segment, plan.hop), np.float32)
        self._waiting = np.zeros((channels, 0), np.float32)
        self._past = self._waiting
        self._repeated = 0
        self._rows: list[np.ndarray] = []
        self._numbers: list[tuple[int, int]] = []
        self._results: list[np.ndarray] = []
        self._num_segments = 0
        self._received = 0
        self._sent = 0
        self._sum = np.zeros((*plan.stems_shape, channels, plan.segment), np.float32)
        self._weight = np.zeros(plan.segment, np.float32)

    def push(self, block: np.ndarray, last: bool = False) -> np.ndarray:
        """Take a block (channels, time), return the finished stems (num_samples, source, channels, time')."""
        self._received += block.shape[1]
        self._waiting = np.concatenate([self._waiting, block], axis=1)
        while self._waiting.shape[1] >= self._plan.segment:
            self._queue_segment()
        if last and (self._num_segments == 0 or self._waiting.shape[1] > self._plan.segment - self._plan.hop):
            self._queue_segment()
        while len(self._rows) >= self._plan.chunk_size or (last and self._rows):
            self._separate_chunk()
        finished = self._crossfade()
        if last:
            finished.append(self._normalised(self._plan.segment))
        stems = np.concatenate(finished, axis=-1)[..., : self._received - self._sent]
        self._sent += stems.shape[-1]
        return stems

    def _queue_segment(self) -> None:
        """Queue one segment of each channel; the last begins earlier, so that it ends with the waveform."""
        segment, hop = self._plan.segment, self._plan.hop
        piece = self._waiting[:, :segment]
        missing = segment - piece.shape[1]
        if missing and self._num_segments:
            piece = np.concatenate([self._past[:, -missing:], piece], axis=1)
            self._repeated = missing
        self._rows.extend(np.pad(piece, ((0, 0), (0, segment - piece.shape[1]))))
        self._numbers.extend((channel, self._num_segments) for channel in range(self._channels))
        self._past = np.concatenate([self._past, self._waiting[:, :hop]], axis=1)[:, -segment:]
        self._waiting = self._waiting[:, hop:]
        self._num_segments += 1

    def _separate_chunk(self) -> None:
        """Separate the first chunk of the queue, in one of the allowed sizes."""
        most = self._plan.chunk_size
        rows, self._rows = self._rows[:most], self._rows[most:]
        numbers, self._numbers = self._numbers[:most], self._numbers[most:]
        size = int(self._sizes[np.searchsorted(self._sizes, len(rows))])
        segments = np.zeros((size, self._plan.segment), np.float32)
        segments[: len(rows)] = rows
        places = np.zeros((size, 2), np.int32)
        places[: len(rows)] = numbers
        shape = (len(rows), *self._plan.stems_shape, self._plan.segment)
        stems = self._program(segments, places)[: len(rows)] if segments.any() else np.zeros(shape, np.float32)
        if not np.isfinite(stems).all():
            raise JobError("the model's stems must be finite, got NaN or infinity")
        self._results.extend(stems)

    def _crossfade(self) -> list[np.ndarray]:
        """Add complete segments to the running sum and return the parts that no later segment reaches."""
        finished = [np.zeros((*self._plan.stems_shape, self._channels, 0), np.float32)]
        while len(self._results) >= self._channels:
            rows, self._results = self._results[: self._channels], self._results[self._channels :]
            stems = np.stack(rows, axis=2)
            if self._plan.stereo == WIENER:
                stems = stereo.filtered(stems)
            if not (self._rows or self._results):
                stems = _shifted(stems, self._repeated)
            self._sum += stems * self._window
            self._weight += self._window
            finished.append(self._normalised(self._plan.hop))
            self._sum = _shifted(self._sum, self._plan.hop)
            self._weight = _shifted(self._weight, self._plan.hop)
        return finished

    def _normalised(self, length: int) -> np.ndarray:
        """Return the beginning of the running sum divided by its weights."""
        mean: np.ndarray = self._sum[..., :length] / np.maximum(self._weight[:length], np.finfo(np.float32).tiny)
        return mean


def _shifted(buffer: np.ndarray, by: int) -> np.ndarray:
    """Move a buffer ``by`` samples towards its start, zeros following."""
    return np.concatenate([buffer[..., by:], np.zeros_like(buffer[..., :by])], axis=-1)


class _Queue:
    """Samples (..., time) that are kept until their counterparts are there."""

    def __init__(self, leading: tuple[int, ...]) -> None:
        """Start empty, with these leading axes."""
        self._samples = np.zeros((*leading, 0), np.float32)

    def put(self, block: np.ndarray) -> None:
        """Append a block."""
        self._samples = np.concatenate([self._samples, block], axis=-1)

    def take(self, length: int) -> np.ndarray:
        """Remove and return the first samples."""
        taken, self._samples = self._samples[..., :length], self._samples[..., length:]
        return taken

    def __len__(self) -> int:
        """Return the number of samples."""
        return int(self._samples.shape[-1])


def separate_blocks(
    program: Program,
    plan: Plan,
    blocks: Iterable[np.ndarray],
    sample_rate: int,
    channels: int,
    scale: np.ndarray | float = 1.0,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Separate a stream at the rate of its file.

    Args:
        program: separates a chunk of segments.
        plan: how the model is run.
        blocks: (channels, time) float32 blocks of any lengths.
        sample_rate: of the blocks, Hz.
        channels: of the blocks.
        scale: factor on the model's input, by which its stems are divided again; one for all
            channels or (channels, 1).

    Yields:
        The mixture (channels, time) and its stems (num_samples, source, channels, time), float32:
        block after block, together exactly what came in. Summed over sources, the stems are the
        mixture.
    """
    leading = (*plan.stems_shape, channels)
    to_model = StreamResampler(sample_rate, plan.sample_rate, channels)
    segments = SegmentStream(program, plan, channels)
    to_file = StreamResampler(plan.sample_rate, sample_rate, math.prod(leading))
    mixture, stems = _Queue((channels,)), _Queue(leading)
    meter = None
    if high_band.reaches(plan.sample_rate, sample_rate):
        meter = high_band.HighBandShares(leading, plan.gains, plan.sample_rate, sample_rate)
    shares = _Queue(leading)
    to_mid_side = channels == 2 and plan.stereo != EACH

    def advance(block: np.ndarray, last: bool) -> None:
        resampled = to_model.push(np.float32(scale) * block, last)
        separated = segments.push(stereo.mid_side(resampled, 0) if to_mid_side else resampled, last) / np.float32(scale)
        separated = stereo.mid_side(separated, 2) if to_mid_side else separated
        restored = to_file.push(separated.reshape(math.prod(leading), -1), last).reshape(*leading, -1)
        if last:
            missing = len(mixture) - len(stems) - restored.shape[-1]
            restored = np.concatenate([restored, np.zeros((*leading, max(0, missing)), np.float32)], axis=-1)
        stems.put(restored)
        if meter is not None:
            shares.put(meter.push(restored, last).astype(np.float32))

    def take(length: int) -> tuple[np.ndarray, np.ndarray]:
        known = shares.take(length) if meter is not None else None
        return _consistent(mixture.take(length), stems.take(length), plan.gains, known)

    for block in blocks:
        mixture.put(block)
        advance(block, last=False)
        ready = min(len(mixture), len(stems if meter is None else shares))
        if ready:
            yield take(ready)
    advance(np.zeros((channels, 0), np.float32), last=True)
    if len(mixture):
        yield take(len(mixture))


def _consistent(
    mixture: np.ndarray, stems: np.ndarray, gains: tuple[float, ...], shares: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Distribute the residual of a block, in float64, whose rounding is far below that of float32 stems.

    Without shares (num_samples, source, channels, time) the stems are projected.
    """
    stems = stems[..., : mixture.shape[-1]].astype(np.float64)
    if shares is None:
        projected = consistency.project_stems(mixture, np.moveaxis(stems, 1, 2), gains)
        return mixture, np.moveaxis(np.asarray(projected), 2, 1).astype(np.float32)
    left = mixture - stems.sum(axis=high_band.SOURCE_AXIS)
    weights = shares / shares.sum(axis=high_band.SOURCE_AXIS, keepdims=True, dtype=np.float64)
    return mixture, (stems + weights * left[:, np.newaxis]).astype(np.float32)
