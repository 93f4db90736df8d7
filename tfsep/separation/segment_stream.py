"""The streaming twin of :mod:`tfsep.separation.segments`: blocks of a waveform in, blocks of its stems out.

Segments, weights, chunks and random numbers are those of ``separate_waveform``, so both give the same stems; here only
a few segments are held at a time, whatever the length of the waveform.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tfsep.audio import overlap_add
from tfsep.errors import JobError
from tfsep.separation import stereo
from tfsep.separation.segments import chunk_sizes
from tfsep.separation.settings import EACH, WIENER

Program = Callable[[np.ndarray, int], np.ndarray]


@dataclass(frozen=True)
class Plan:
    """How one model is run: what a stream has to know of it.

    Attributes:
        sample_rate: the model's, Hz.
        segment: samples that the model separates at once.
        hop: samples from one segment to the next, 1..segment.
        gains: a_1..a_N of the mixing model.
        num_samples: posterior samples drawn.
        chunk_size: segments separated at once, a power of two.
        stereo: what channels have to do with each other, one of :data:`tfsep.separation.settings.STEREO_MODES`.
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
        """(num_samples, source): the leading axes of a block of stems."""
        return self.num_samples, len(self.gains)


class SegmentStream:
    """Overlapping segments at the model's rate, separated as they arrive.

    Args:
        program: maps segments (batch, segment) and the chunk's number to stems
            (batch, num_samples, source, segment) at mixture scale.
        plan: how the model is run.
        channels: channels of the waveform; each is separated on its own, and where the plan says so their answers are
            filtered together.
    """

    def __init__(self, program: Program, plan: Plan, channels: int) -> None:
        self._program, self._plan, self._channels = program, plan, channels
        self._sizes = np.array(chunk_sizes(plan.chunk_size))
        self._window = np.asarray(overlap_add.windows(plan.segment, plan.hop), np.float32)
        self._waiting = np.zeros((channels, 0), np.float32)
        self._past = self._waiting
        self._repeated = 0
        self._rows: list[np.ndarray] = []
        self._results: list[np.ndarray] = []
        self._chunk = 0
        self._segments_cut = 0
        self._received = 0
        self._sent = 0
        self._sum = np.zeros((*plan.stems_shape, channels, plan.segment), np.float32)
        self._weight = np.zeros(plan.segment, np.float32)

    def push(self, block: np.ndarray, last: bool = False) -> np.ndarray:
        """Take a block (channels, time), hand out the finished stems (num_samples, source, channels, time')."""
        self._received += block.shape[1]
        self._waiting = np.concatenate([self._waiting, block], axis=1)
        while self._waiting.shape[1] >= self._plan.segment:
            self._cut()
        if last and (self._segments_cut == 0 or self._waiting.shape[1] > self._plan.segment - self._plan.hop):
            self._cut()
        while len(self._rows) >= self._plan.chunk_size or (last and self._rows):
            self._separate_chunk()
        finished = self._crossfade()
        if last:
            finished.append(self._normalised(self._plan.segment))
        stems = np.concatenate(finished, axis=-1)[..., : self._received - self._sent]
        self._sent += stems.shape[-1]
        return stems

    def _cut(self) -> None:
        """Queue one segment of each channel; the last begins earlier, so that it ends with the waveform."""
        segment, hop = self._plan.segment, self._plan.hop
        piece = self._waiting[:, :segment]
        missing = segment - piece.shape[1]
        if missing and self._segments_cut:
            piece = np.concatenate([self._past[:, -missing:], piece], axis=1)
            self._repeated = missing
        self._rows.extend(np.pad(piece, ((0, 0), (0, segment - piece.shape[1]))))
        self._past = np.concatenate([self._past, self._waiting[:, :hop]], axis=1)[:, -segment:]
        self._waiting = self._waiting[:, hop:]
        self._segments_cut += 1

    def _separate_chunk(self) -> None:
        """Separate the first chunk of the queue, in one of the allowed sizes."""
        rows, self._rows = self._rows[: self._plan.chunk_size], self._rows[self._plan.chunk_size :]
        size = int(self._sizes[np.searchsorted(self._sizes, len(rows))])
        segments = np.zeros((size, self._plan.segment), np.float32)
        segments[: len(rows)] = rows
        shape = (len(rows), *self._plan.stems_shape, self._plan.segment)
        stems = self._program(segments, self._chunk)[: len(rows)] if segments.any() else np.zeros(shape, np.float32)
        if not np.isfinite(stems).all():
            raise JobError("the model's stems must be finite, got NaN or infinity")
        self._results.extend(stems)
        self._chunk += 1

    def _crossfade(self) -> list[np.ndarray]:
        """Add complete segments to the running sum and cut off what no later segment reaches."""
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
        return self._sum[..., :length] / np.maximum(self._weight[:length], np.finfo(np.float32).tiny)


def _shifted(buffer: np.ndarray, by: int) -> np.ndarray:
    """The buffer moved ``by`` samples towards its start, zeros following."""
    return np.concatenate([buffer[..., by:], np.zeros_like(buffer[..., :by])], axis=-1)
