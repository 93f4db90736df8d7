"""The files of a report: the mixture, the stems that were written of it, and the true sources if known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfsep.audio import files
from tfsep.audio.blocks import side_by_side, trim
from tfsep.errors import JobError

BLOCK_FRAMES = 1 << 15


@dataclass(frozen=True)
class StemFiles:
    """One stem on disk.

    Attributes:
        name: such as "drums" or "no_vocals".
        path: of the stem.
        samples: of the posterior samples whose mean the stem is; none where it is a single
            estimate.
        reference: of the true source, if it is known.
    """

    name: str
    path: Path
    samples: tuple[Path, ...] = ()
    reference: Path | None = None


@dataclass(frozen=True)
class TrackFiles:
    """One separated track on disk.

    Attributes:
        name: of the track.
        mixture: the sound that was separated.
        first: first sample of the separated part in the mixture.
        frames: samples of the part, and of each stem.
        sample_rate: of the mixture and its stems, Hz.
        channels: of the mixture and its stems.
        stems: in the order of the page.
        complete: whether the stems are meant to sum to the mixture, or one alone was written.
        factor: by which all stems were scaled before they were written.
    """

    name: str
    mixture: Path
    first: int
    frames: int
    sample_rate: int
    channels: int
    stems: tuple[StemFiles, ...]
    complete: bool = True
    factor: float = 1.0

    @property
    def seconds(self) -> float:
        """Return the duration in seconds."""
        return self.frames / self.sample_rate


@dataclass(frozen=True)
class Block:
    """A block of all signals of a track, (channels, time) float32 each.

    Attributes:
        start: its first sample, counted from the start of the separated part.
        mixture: the mixture.
        stems: by name.
        samples: by the stem's name, (num_samples, channels, time); only stems that have samples.
        references: by the stem's name, one channel or all; only stems that have one.
    """

    start: int
    mixture: np.ndarray
    stems: Mapping[str, np.ndarray]
    samples: Mapping[str, np.ndarray]
    references: Mapping[str, np.ndarray]


def read_blocks(track: TrackFiles) -> Iterator[Block]:
    """Read a track block by block from start to end, all files in step.

    Raises:
        JobError: a file cannot be read, or is shorter than the track.
    """
    paths = {"the mixture": track.mixture}
    for stem in track.stems:
        paths[f"stem {stem.name}"] = stem.path
        paths |= {f"sample {number} of {stem.name}": path for number, path in enumerate(stem.samples)}
        if stem.reference is not None:
            paths[f"reference of {stem.name}"] = stem.reference
    inputs = {track.mixture, *(stem.reference for stem in track.stems)}
    streams = {
        label: trim(files.blocks(path, BLOCK_FRAMES), track.first if path in inputs else 0, track.frames)
        for label, path in paths.items()
    }
    start = 0
    for found in side_by_side(streams, track.frames, BLOCK_FRAMES):
        samples = {
            stem.name: np.stack([found[f"sample {number} of {stem.name}"] for number in range(len(stem.samples))])
            for stem in track.stems
            if stem.samples
        }
        stems = {stem.name: found[f"stem {stem.name}"] for stem in track.stems}
        references = {stem.name: found[f"reference of {stem.name}"] for stem in track.stems if stem.reference}
        yield Block(start, found["the mixture"], stems, samples, references)
        start += found["the mixture"].shape[1]


def check_reference(path: Path, mixture: files.AudioInfo) -> None:
    """Refuse a reference that cannot be that of a mixture.

    Raises:
        JobError: it cannot be read, or has another rate, another length, or more than one and not
            as many channels.
    """
    found = files.info(path)
    for what, own, expected in (
        ("sample_rate", found.sample_rate, mixture.sample_rate),
        ("number of samples", found.frames, mixture.frames),
    ):
        if own != expected:
            raise JobError(f"a reference must have the {what} of its mixture, {expected}, got {own}: {path}")
    if found.channels not in (1, mixture.channels):
        raise JobError(
            f"a reference must have 1 channel or those of its mixture, {mixture.channels}, got {found.channels}: {path}"
        )
