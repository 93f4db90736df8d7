"""Measure all numbers and pictures of a page in one pass over the files of a track.

Curves span the whole track. Outlines and spectrograms show the excerpt that the page can play, its
first seconds. Where a stem is the mean of K posterior samples, its spread is their standard
deviation, with K - 1 in the denominator, at each sample of the waveform. The residual is the
mixture minus the written stems, rounding and clipping included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tfsep.metrics.streaming_si_sdr import SeparationMetric, StreamingSiSdr
from tfsep.report.columns import SILENCE_DB, Columns, LevelCurve, Outline, decibels
from tfsep.report.spectrum import Spectrum
from tfsep.report.track_files import Block, TrackFiles, read_blocks

CURVE_COLUMNS = 600
OUTLINE_COLUMNS = 800


@dataclass(frozen=True)
class Sound:
    """The measurements of the mixture or of one stem.

    Attributes:
        name: of the stem; "mixture" for the mixture.
        level_db: root mean square in dB of full scale.
        peak: largest magnitude, full scale being 1.
        curve_db: levels of the columns of the whole track.
        outline: lowest and highest sample of each column of the excerpt, (2, column).
        spectrum: powers of the excerpt, (column, row).
        spread_db: levels of the spread of samples in the columns of the whole track; None without
            samples.
        spread_outline: root mean squares of the spread in the columns of the excerpt; None without
            samples.
        certainty_db: level of the stem over that of its spread, for the whole track; None without
            samples.
        has_reference: whether the true source is known.
        metric: of the stem; None without a reference, or with a silent one.
    """

    name: str
    level_db: float
    peak: float
    curve_db: np.ndarray
    outline: np.ndarray
    spectrum: np.ndarray
    spread_db: np.ndarray | None = None
    spread_outline: np.ndarray | None = None
    certainty_db: float | None = None
    has_reference: bool = False
    metric: SeparationMetric | None = None


@dataclass(frozen=True)
class Residual:
    """The mixture minus all stems.

    Attributes:
        level_db: its energy over that of the mixture, dB; at least -200.
        curve_db: its levels in the columns of the whole track, dB of full scale.
    """

    level_db: float
    curve_db: np.ndarray


@dataclass(frozen=True)
class Measurements:
    """All measurements of a track.

    Attributes:
        times: middles of the columns of the whole track, seconds.
        excerpt_frames: samples that the page plays and pictures.
        mixture: the mixture.
        stems: in the order of the track.
        residual: None where the stems are not meant to sum to the mixture.
    """

    times: np.ndarray
    excerpt_frames: int
    mixture: Sound
    stems: tuple[Sound, ...]
    residual: Residual | None


def measure(
    track: TrackFiles, excerpt_frames: int, on_excerpt: Callable[[dict[str, np.ndarray]], None] | None = None
) -> Measurements:
    """Measure a track in one pass, in memory that does not grow with its length.

    Args:
        track: the files.
        excerpt_frames: samples of the excerpt, 1..frames of the track.
        on_excerpt: called with the excerpt block by block: {name: (channels, time)}, the mixture
            under "".

    Raises:
        JobError: a file cannot be read, or is shorter than the track.
    """
    curves, excerpt = Columns(track.frames, CURVE_COLUMNS), Columns(excerpt_frames, OUTLINE_COLUMNS)
    mixture = _SoundMeter(track, curves, excerpt)
    stems = {stem.name: _SoundMeter(track, curves, excerpt) for stem in track.stems}
    residual = LevelCurve(curves)
    for block in read_blocks(track):
        inside = max(0, excerpt_frames - block.start)
        mixture.update(block.start, block.mixture, inside)
        for name, meter in stems.items():
            meter.update(block.start, block.stems[name], inside)
            if name in block.samples:
                meter.add_samples(block.start, block.samples[name], inside)
            if name in block.references:
                meter.compare(block.stems[name], block.mixture, block.references[name])
        if track.complete:
            residual.update(block.start, _left_over(block, track.factor))
        if inside and on_excerpt is not None:
            on_excerpt(
                {"": block.mixture[:, :inside], **{name: stem[:, :inside] for name, stem in block.stems.items()}}
            )
    left = float(decibels(residual.total) - decibels(mixture.curve.total * track.factor**2))
    middles = (curves.edges[:-1] + curves.edges[1:]) / 2.0 / track.sample_rate
    return Measurements(
        middles,
        excerpt_frames,
        mixture.sound("mixture"),
        tuple(meter.sound(name) for name, meter in stems.items()),
        Residual(max(left, SILENCE_DB), decibels(residual.power)) if track.complete else None,
    )


def _left_over(block: Block, factor: float) -> np.ndarray:
    """Return the mixture, scaled as the stems were, minus the stems: (channels, time) float64."""
    return factor * block.mixture.astype(np.float64) - np.sum(list(block.stems.values()), axis=0, dtype=np.float64)


class _SoundMeter:
    """The measurements of one sound, updated block by block."""

    def __init__(self, track: TrackFiles, curves: Columns, excerpt: Columns) -> None:
        frames = int(excerpt.edges[-1])
        self.curve = LevelCurve(curves)
        self._outline = Outline(excerpt)
        self._spectrum = Spectrum(frames, track.sample_rate)
        self._spread, self._spread_outline = LevelCurve(curves), LevelCurve(excerpt)
        self._sampled = False
        self._metric = StreamingSiSdr(track.channels)
        self._compared = False

    def update(self, start: int, block: np.ndarray, inside: int) -> None:
        """Add a block, of which ``inside`` samples belong to the excerpt."""
        self.curve.update(start, block)
        if inside:
            self._outline.update(start, block[:, :inside])
            self._spectrum.update(block[:, :inside])

    def add_samples(self, start: int, samples: np.ndarray, inside: int) -> None:
        """Add a block of posterior samples (num_samples, channels, time)."""
        spread = samples.std(axis=0, ddof=1, dtype=np.float64)
        self._spread.update(start, spread)
        if inside:
            self._spread_outline.update(start, spread[:, :inside])
        self._sampled = True

    def compare(self, stem: np.ndarray, mixture: np.ndarray, reference: np.ndarray) -> None:
        """Add a block whose true source is known."""
        self._metric.update(stem, mixture, reference)
        self._compared = True

    def sound(self, name: str) -> Sound:
        """Return the measurements."""
        sure = float(decibels(self.curve.total) - decibels(self._spread.total))
        return Sound(
            name,
            float(decibels(self.curve.total)),
            self.curve.peak,
            decibels(self.curve.power),
            np.stack([self._outline.lowest, self._outline.highest]),
            self._spectrum.finish(),
            decibels(self._spread.power) if self._sampled else None,
            np.sqrt(self._spread_outline.power) if self._sampled else None,
            sure if self._sampled else None,
            self._compared,
            self._metric.result() if self._compared else None,
        )
