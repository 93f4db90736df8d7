"""Folders of stems: isolated sources cut at random from real recordings.

Layout: ``<root>/<split>/<track>/<source>.(wav|flac|ogg|mp3)``. Tracks are read once, resampled and kept as 16-bit
samples; every track is scaled so that the sum of its stems has an RMS of 0.1, which keeps the balance of its sources
and makes albums of different loudness alike. A source drawn from here never brings along the others of its track: cuts
of different sources come from different places (recordings.py says how they are drawn and changed). In a share
``same_track`` of mixtures the places are of one track, and so of one key and tempo, but still not the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfsep.data.packed import SUFFIXES, Recording, packed, read_recording
from tfsep.data.recordings import RecordedSources, uniform
from tfsep.errors import InputError

TRACK_RMS = 0.1


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


@dataclass(frozen=True)
class StemsData(RecordedSources):
    """Stems as a data set of isolated sources; the other settings are those of its base class.

    Attributes:
        roots: folders in the layout above; one that is named twice weighs twice, and is kept once.
        split: sub-folder of each root.
        exclude: tracks whose folder names contain one of these words are left out.
        only: where there are any, tracks whose folder names contain none of these words are left out.
        same_track: share of mixtures whose sources are cut from one track, each at a place of its own, at one speed; a
            source that the track lacks comes from any. Tracks weigh as much as their longest stem lasts.
    """

    roots: Sequence[str]
    split: str = "train"
    exclude: Sequence[str] = ()
    only: Sequence[str] = ()
    same_track: float = 0.0
    _rows: list[list[int]] = field(init=False, repr=False, compare=False, default_factory=list)

    def __post_init__(self) -> None:
        """Read all tracks.

        Raises:
            InputError: for an empty folder, a source without any sound, or settings out of range.
        """
        self._check("stems", "roots", "exclude", "only")
        if not 0.0 <= self.same_track <= 1.0:
            raise InputError(f"same_track must be a share from 0 to 1, got {self.same_track}")
        recordings: dict[str, list[Recording]] = {source: [] for source in self.sources}
        read: dict[Path, dict[str, Recording]] = {}
        for track in self._tracks():
            if self._chosen(track.name):
                if track not in read:
                    read[track] = self._read_track(track)
                self._append(read[track], recordings)
        read.clear()
        self._splice(recordings, f"no track under {', '.join(map(str, self.roots))} has an audible {{}} stem")

    def _tracks(self) -> Iterator[Path]:
        """The track folders, of all roots."""
        for root in self.roots:
            yield from track_folders(root, self.split)

    def _chosen(self, track: str) -> bool:
        """Whether a track of this name takes part."""
        named = any(word in track for word in self.only) or not self.only
        return named and not any(word in track for word in self.exclude)

    def _read_track(self, track: Path) -> dict[str, Recording]:
        """The audible stems of a track."""
        paths = {source: path for source in self.sources if (path := stem_path(track, source)) is not None}
        stems = {source: read_recording(path, self.sample_rate, self.channels) for source, path in paths.items()}
        if not stems:
            return {}
        mixture = np.zeros(max(stem.shape[1] for stem in stems.values()), np.float64)
        for stem in stems.values():
            mixture[: stem.shape[1]] += stem.mean(axis=0)
        level = TRACK_RMS / max(float(np.sqrt(np.mean(mixture**2))), 1e-9)
        return {source: made for source, stem in stems.items() if (made := packed(stem, level)) is not None}

    def _append(self, track: dict[str, Recording], recordings: dict[str, list[Recording]]) -> None:
        """Append the stems of a track, and which recording of each source they are; -1 where there is none."""
        row = [-1] * len(self.sources)
        for source, recording in track.items():
            row[self.sources.index(source)] = len(recordings[source])
            recordings[source].append(recording)
        if max(row) >= 0:
            self._rows.append(row)

    def _places(
        self, source: str, chance: tf.Tensor, speed: tf.Tensor, reach: int, seed: Any
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Some of the places moved into tracks that all sources of a mixture share."""
        recording, start, speeds = super()._places(source, chance, speed, reach, seed)
        if self.same_track == 0.0:
            return recording, start, speeds
        # Every try at an audible cut stays in the track of its mixture.
        shared = tf.tile(uniform((chance.shape[0] // self.tries, 3), seed, "the track"), (self.tries, 1))
        ends = tf.constant(np.cumsum(self._track_lengths()), tf.float64)
        track = tf.searchsorted(ends, shared[:, 1] * ends[-1], side="right")
        own = tf.gather(tf.constant(np.array(self._rows)[:, self.sources.index(source)]), track)
        moved = (shared[:, 0] < self.same_track) & (own >= 0)
        own = tf.where(moved, own, recording)
        inside = self._reels[source].within(own, chance, reach, self._margin)
        return own, tf.where(moved, inside, start), tf.where(moved, self._speeds(shared[:, 2]), speeds)

    def _track_lengths(self) -> np.ndarray:
        """Samples of the longest stem of each track: (track,) int64."""
        rows = np.array(self._rows)
        reels = [self._reels[source] for source in self.sources]
        return np.max([np.where(rows[:, k] >= 0, reel.lengths[rows[:, k]], 0) for k, reel in enumerate(reels)], axis=0)
