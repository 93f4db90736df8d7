"""One sound file through a separator, block by block: what is selected of it, and what was done to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tfsep.audio import files
from tfsep.audio.blocks import trim
from tfsep.errors import JobError
from tfsep.separation import consistency

BLOCK_SECONDS = 4.0


class Streams(Protocol):
    """What separates blocks as they arrive; :class:`tfsep.separation.separator.Separator` does."""

    normalise: bool

    def level_scale(self, blocks: Iterable[np.ndarray]) -> float:
        """Return the factor that brings blocks (channels, time) to the model's level."""

    def stream(
        self,
        blocks: Iterable[np.ndarray],
        sample_rate: int,
        channels: int,
        num_samples: int = 1,
        seed: int = 0,
        scale: Any = 1.0,
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the mixture (channels, time) and its stems (num_samples, source, channels, time)."""


@dataclass(frozen=True)
class FileReport:
    """What was done to one file.

    Attributes:
        sample_rate: of the file and its stems, Hz.
        channels: of the file and its stems.
        frames: of each stem.
        residual_db: energy of mixture minus sum of stems over that of the mixture, dB; -inf for none at all.
        seconds: wall time.
    """

    sample_rate: int
    channels: int
    frames: int
    residual_db: float
    seconds: float


def selected_frames(info: files.AudioInfo, start: float, duration: float | None) -> tuple[int, int]:
    """First frame and number of frames, at least 1, of a part of a file.

    Args:
        info: of the file.
        start: seconds.
        duration: seconds, cut short by the file's end; None is up to there.

    Raises:
        JobError: if the part would start at the file's end or behind it.
    """
    first = round(start * info.sample_rate)
    if first >= info.frames:
        raise JobError(f"start must lie before the end at {info.seconds:.3f} s, got {start:g} s: {info.path}")
    frames = info.frames - first
    if duration is not None:
        frames = min(frames, max(1, round(duration * info.sample_rate)))
    return first, frames


def separate_file(
    separator: Streams,
    path: str | Path,
    sink: Callable[[np.ndarray, np.ndarray], None],
    num_samples: int = 1,
    seed: int = 0,
    start: float = 0.0,
    duration: float | None = None,
    info: files.AudioInfo | None = None,
    progress: Callable[[int], object] | None = None,
    block_seconds: float = BLOCK_SECONDS,
) -> FileReport:
    """Separate a sound file of any length, rate and channel count in flat memory.

    Args:
        separator: the model.
        path: a sound file that :mod:`tfsep.audio.files` reads.
        sink: is handed the mixture (channels, time) and its stems (num_samples, source, channels, time), float32,
            block after block, together exactly the selected part of the file.
        num_samples: posterior samples.
        seed: of the posterior's random numbers.
        start: of the part to separate, seconds.
        duration: of the part to separate, seconds; None is up to the end.
        info: the file's header where it is known already.
        progress: is told the frames of each finished block.
        block_seconds: length of the blocks read; it has no influence on the stems.

    Raises:
        JobError: if the file cannot be read, or ``start`` lies beyond its end.
    """
    began = time.monotonic()
    info = info or files.info(path)
    first, frames = selected_frames(info, start, duration)
    block_frames = max(1, round(block_seconds * info.sample_rate))

    def selection() -> Iterator[np.ndarray]:
        return trim(files.blocks(path, block_frames), first, frames)

    scale = separator.level_scale(selection()) if separator.normalise else 1.0
    meter = consistency.ResidualMeter()
    written = 0
    for mixture, stems in separator.stream(selection(), info.sample_rate, info.channels, num_samples, seed, scale):
        sink(mixture, stems)
        meter.update(mixture, stems.mean(axis=0))
        written += mixture.shape[1]
        if progress is not None:
            progress(mixture.shape[1])
    if written != frames:
        raise JobError(f"{frames} frames are announced, got {written}: {path}")
    return FileReport(info.sample_rate, info.channels, frames, meter.decibels, time.monotonic() - began)
