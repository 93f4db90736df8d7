"""A sound file of any length, rate and channel count through a separator, block by block in flat memory."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from tfsep.audio import files
from tfsep.audio.blocks import trim
from tfsep.errors import InputError, JobError
from tfsep.separation import consistency
from tfsep.separation.stem_files import StemFolder, StemLayout

BLOCK_SECONDS = 4.0


class BlockSeparator(Protocol):
    """What separates blocks as they arrive: :class:`tfsep.separation.separator.Separator`."""

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
        scale: np.ndarray | float = 1.0,
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the mixture (channels, time) and its stems (num_samples, source, channels, time)."""


@dataclass(frozen=True)
class FileReport:
    """What was done to one file.

    Attributes:
        sample_rate: of the file and its stems, Hz.
        channels: of the file and its stems.
        frames: of each stem.
        residual_db: energy of mixture minus sum of stems over that of the mixture, dB; -inf for
            none at all.
        seconds: wall time.
    """

    sample_rate: int
    channels: int
    frames: int
    residual_db: float
    seconds: float


def selected_frames(info: files.AudioInfo, start: float, duration: float | None) -> tuple[int, int]:
    """Return the first frame and the number of frames, at least 1, of a part of a file.

    Args:
        info: of the file.
        start: seconds, at least 0.
        duration: seconds, above 0, cut short by the file's end; None is up to there.

    Raises:
        InputError: for a start or a duration out of range.
        JobError: if the part would start at the file's end or behind it.
    """
    if not 0.0 <= start < math.inf:
        raise InputError(f"start must be at least 0 s, got {start:g}")
    if duration is not None and not duration > 0.0:
        raise InputError(f"duration must be above 0 s, got {duration:g}")
    first = round(start * info.sample_rate)
    if first >= info.frames:
        raise JobError(f"start must lie before the end at {info.seconds:.3f} s, got {start:g} s: {info.path}")
    frames = info.frames - first
    if duration is not None:
        frames = round(min(frames, max(1.0, duration * info.sample_rate)))
    return first, frames


def separate_to_sink(
    separator: BlockSeparator,
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
    """Separate a sound file and pass its stems on, block after block.

    Args:
        separator: the model.
        path: a sound file that :mod:`tfsep.audio.files` reads.
        sink: is called with the mixture (channels, time) and its stems (num_samples, source,
            channels, time), float32, block after block, together exactly the selected part.
        num_samples: posterior samples.
        seed: of the posterior's random numbers.
        start: of the part to separate, seconds.
        duration: of the part to separate, seconds; None is up to the end.
        info: the file's header where it is known already.
        progress: is called with the frames of each finished block.
        block_seconds: length of the blocks read; it has no influence on the stems.

    Raises:
        InputError: for a start or a duration out of range.
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


def separate_to_folder(
    separator: BlockSeparator,
    path: str | Path,
    stems: StemFolder,
    layout: StemLayout,
    num_samples: int = 1,
    seed: int = 0,
    start: float = 0.0,
    duration: float | None = None,
    info: files.AudioInfo | None = None,
    progress: Callable[[int], object] | None = None,
) -> FileReport:
    """Separate a sound file into the files of an open :class:`StemFolder`.

    Args:
        separator: the model.
        path: a sound file.
        stems: opened for the names of the layout, at the file's rate and channels.
        layout: which stems are written.
        num_samples, seed, start, duration, info, progress: as of :func:`separate_to_sink`.

    Raises:
        InputError: for a start or a duration out of range.
        JobError: if the file cannot be read, a stem cannot be written, or ``start`` lies beyond the
            file's end.
    """
    return separate_to_sink(
        separator,
        path,
        lambda mixture, block: stems.write(layout.split(mixture, block)),
        num_samples,
        seed,
        start,
        duration,
        info,
        progress,
    )
