"""Folders of stems: isolated sources cut at random from real recordings.

Layout: ``<root>/<split>/<track>/<source>.(wav|flac|ogg|mp3)``. Tracks are read once, mixed down to mono, resampled and
kept as 16-bit samples; every track is scaled so that the sum of its stems has an RMS of 0.1, which keeps the balance
of its sources and makes albums of different loudness alike. A source drawn from here never brings along the others of
its track: cuts of different sources come from different places.

Augmentation, all from the seed: gain (uniform in dB), polarity, and speed (log-uniform; pitch and tempo change
together, by linear interpolation).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfsep.audio import files
from tfsep.audio.resample import resample
from tfsep.errors import InputError

SUFFIXES = (".flac", ".wav", ".ogg", ".mp3")
TRACK_RMS = 0.1
_SILENT = 1e-4


def track_folders(root: str | Path, split: str) -> list[Path]:
    """Track folders of a split in alphabetical order.

    Raises:
        InputError: if there are none.
    """
    folder = Path(root) / split
    tracks = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if not tracks:
        raise InputError(f"a stems folder holds <split>/<track>/<source>.wav, but {folder} has no track folders")
    return tracks


def stem_path(track: Path, source: str) -> Path | None:
    """The file of one source in a track folder, or None."""
    return next((path for suffix in SUFFIXES if (path := track / (source + suffix)).is_file()), None)


def read_mono(path: Path, sample_rate: int) -> np.ndarray:
    """A whole file as mono float32 (time,) at ``sample_rate``; channels are averaged."""
    audio, rate = files.read(path)
    return resample(audio.mean(axis=0), rate, sample_rate)


@dataclass(frozen=True)
class _Reel:
    """All recordings of one source behind each other: int16 samples, and each one's place, length and scale."""

    samples: tf.Tensor
    starts: np.ndarray
    lengths: np.ndarray
    scales: np.ndarray


@dataclass(frozen=True)
class StemsData:
    """Stems as a data set of isolated sources (see :class:`tfsep.data.pipeline.SourceData`).

    Attributes:
        roots: folders in the layout above.
        split: sub-folder of each root.
        sources: names of the sources; a track may lack some.
        sample_rate: Hz.
        exclude: tracks whose folder names contain one of these words are left out.
        gain_db: largest gain change in either direction.
        speed: largest factor by which a cut is sped up or slowed down, at least 1.
    """

    roots: Sequence[str]
    split: str = "train"
    sources: tuple[str, ...] = ("drums", "bass", "other", "vocals")
    sample_rate: int = 22050
    exclude: Sequence[str] = ()
    gain_db: float = 0.0
    speed: float = 1.0
    _reels: dict[str, _Reel] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Read all tracks.

        Raises:
            InputError: for an empty folder, a source without any sound, or settings out of range.
        """
        for name in ("roots", "sources", "exclude"):
            value = getattr(self, name)
            if isinstance(value, str) or (name != "exclude" and not value):
                raise InputError(f"{name} of stems must be a list of names, got {value!r}")
        if self.speed < 1.0 or self.gain_db < 0.0:
            raise InputError(f"speed must be at least 1 and gain_db at least 0, got {self.speed} and {self.gain_db}")
        recordings: dict[str, list[tuple[np.ndarray, float]]] = {source: [] for source in self.sources}
        for root in self.roots:
            for track in track_folders(root, self.split):
                if not any(word in track.name for word in self.exclude):
                    self._read_track(track, recordings)
        for source, found in recordings.items():
            if not found:
                raise InputError(f"no track under {', '.join(map(str, self.roots))} has an audible {source!r} stem")
            lengths = np.array([len(samples) for samples, _ in found], np.int64)
            self._reels[source] = _Reel(
                tf.constant(np.concatenate([samples for samples, _ in found])),
                np.concatenate([[0], np.cumsum(lengths)[:-1]]),
                lengths,
                np.array([scale for _, scale in found], np.float32),
            )

    def _read_track(self, track: Path, recordings: dict[str, list[tuple[np.ndarray, float]]]) -> None:
        """Append the audible stems of a track as int16 samples and the scale that gives them back."""
        paths = {source: path for source in self.sources if (path := stem_path(track, source)) is not None}
        stems = {source: read_mono(path, self.sample_rate) for source, path in paths.items()}
        if not stems:
            return
        mixture = np.zeros(max(len(stem) for stem in stems.values()), np.float64)
        for stem in stems.values():
            mixture[: len(stem)] += stem
        level = TRACK_RMS / max(float(np.sqrt(np.mean(mixture**2))), 1e-9)
        for source, stem in stems.items():
            peak = float(np.abs(stem).max())
            if peak * level > _SILENT:
                recordings[source].append((np.round(stem / peak * 32767.0).astype(np.int16), level * peak / 32767.0))

    @property
    def mixing_gains(self) -> tuple[float, ...]:
        """Songs are the plain sum of their stems."""
        return (1.0,) * len(self.sources)

    def draw(self, source: str, num: int, length: int, seed: Any) -> tf.Tensor:
        """Draw random cuts of one source: (num, length) float32; tracks weigh as much as they last.

        Raises:
            InputError: for an unknown source, or if no recording is as long as a cut.
        """
        if source not in self._reels:
            raise InputError(f"source must be one of {', '.join(self.sources)}, got {source!r}")
        reel = self._reels[source]
        reach = math.ceil(length * self.speed) + 1
        room = np.maximum(reel.lengths - reach, 0)
        if not room.any():
            seconds = reach / self.sample_rate
            raise InputError(f"cuts of {source!r} need a recording of {seconds:.2f} s, the longest is shorter")
        seed = tf.cast(tf.convert_to_tensor(seed), tf.int64)
        salt = zlib.crc32(source.encode())
        table = tf.random.stateless_uniform(
            (num, 4), tf.stack([seed[0] * 4294967291 + salt, seed[1]]), dtype=tf.float64, alg="philox"
        )
        ends = tf.constant(np.cumsum(room), tf.float64)
        place = table[:, 0] * ends[-1]
        track = tf.searchsorted(ends, place, side="right")
        before, first = ends - room.astype(np.float64), tf.constant(reel.starts, tf.float64)
        start = place - tf.gather(before, track) + tf.gather(first, track)
        speed = tf.exp((2.0 * table[:, 1] - 1.0) * math.log(self.speed))
        cut = self._read_at(reel.samples, tf.floor(start), speed, length)
        gain = 10.0 ** ((2.0 * table[:, 2] - 1.0) * self.gain_db / 20.0) * tf.sign(table[:, 3] - 0.5)
        return cut * tf.cast(gain, tf.float32)[:, tf.newaxis] * tf.gather(reel.scales, track)[:, tf.newaxis]

    @staticmethod
    def _read_at(samples: tf.Tensor, start: tf.Tensor, speed: tf.Tensor, length: int) -> tf.Tensor:
        """Samples from ``start`` on, ``speed`` apart, between neighbours by linear interpolation: (num, length)."""
        position = tf.range(length, dtype=tf.float64) * speed[:, tf.newaxis]
        whole = tf.floor(position)
        index = tf.cast(start[:, tf.newaxis] + whole, tf.int64)
        weight = tf.cast(position - whole, tf.float32)
        before = tf.cast(tf.gather(samples, index), tf.float32)
        after = tf.cast(tf.gather(samples, index + 1), tf.float32)
        return before + weight * (after - before)
