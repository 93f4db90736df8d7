"""Folders of stems: random excerpts of isolated sources from real songs.

Layout: ``<root>/<split>/<track>/<source>.(wav|flac|ogg|mp3)``. Tracks are read once, resampled and
kept as 16-bit samples. Every track is scaled so that the sum of its stems has an RMS of 0.1, which
keeps the balance of its sources and makes albums of different loudness alike. Excerpts of different
sources are drawn independently, at different positions (see recordings.py for the draw and the
augmentation). In a share ``same_track`` of mixtures they are of one track, and so of one key and
tempo, but still at different positions. Isolated sounds of a source (sounds.py) may be added, as
recordings that belong to no track.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfsep.audio.suffixes import find_stem, several_files
from tfsep.axes import Seed
from tfsep.data.packed import Recording, quantise, recording_or_none, sound_headers
from tfsep.data.recordings import RecordedSources, uniform_table
from tfsep.data.sounds import sound_paths
from tfsep.errors import InputError

TRACK_RMS = 0.1
_LOG = logging.getLogger(__name__)


def track_folders(root: str | Path, split: str) -> list[Path]:
    """Return the track folders of a split in alphabetical order.

    Raises:
        InputError: if there are none.
    """
    folder = Path(root) / split
    tracks = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if not tracks:
        raise InputError(f"a stems folder holds <split>/<track>/<source>.wav, but {folder} has no track folders")
    return tracks


@dataclass(frozen=True)
class StemsData(RecordedSources):
    """Stems as a data set of isolated sources; the other settings are those of its base class.

    Attributes:
        roots: folders in the layout above; one that is named twice has twice the weight, and is
            kept once.
        split: sub-folder of each root.
        sounds: folders of isolated sounds, ``<folder>/<source>/**/*.wav``, each of which is a
            recording of its own, at an RMS of 0.1.
        exclude: tracks whose folder names contain one of these words are left out.
        only: where there are any, tracks whose folder names contain none of these words are left
            out.
        same_track: share of mixtures whose sources are excerpts of one track, each at a position of
            its own, at one speed; a source that the track lacks is of any track. Tracks are
            weighted by their longest stem.
    """

    roots: Sequence[str]
    split: str = "train"
    sounds: Sequence[str] = ()
    exclude: Sequence[str] = ()
    only: Sequence[str] = ()
    same_track: float = 0.0
    _stems: list[list[int]] = field(init=False, repr=False, compare=False, default_factory=list)

    def __post_init__(self) -> None:
        """Read all tracks; a track with a file that cannot be read is logged and left out.

        Several files for one source of a track are logged as a warning.

        Raises:
            InputError: for an empty folder, a source without any sound, or settings out of range.
        """
        self._check("stems", "roots", "sounds", "exclude", "only")
        if not 0.0 <= self.same_track <= 1.0:
            raise InputError(f"same_track must be a share from 0 to 1, got {self.same_track}")
        recordings: dict[str, list[Recording]] = {source: [] for source in self.sources}
        read: dict[Path, dict[str, Recording]] = {}
        tracks = [track for track in self._tracks() if self._chosen(track.name)]
        sound = {track: self._is_sound(track) for track in dict.fromkeys(tracks)}
        for track in tracks:
            if sound[track]:
                if track not in read:
                    read[track] = self._read_track(track)
                self._append(read[track], recordings)
        read.clear()
        for root in self.sounds:
            found = {source: sound_paths(root, source) for source in self.sources}
            if not any(found.values()):
                raise InputError(f"a folder of sounds holds <source>/**/*.wav, but {root} has none of the sources")
            for source, paths in found.items():
                chosen = [path for path in paths if self._chosen(str(path.relative_to(root))) and sound_headers([path])]
                recordings[source] += filter(None, map(self._read_sound, chosen))
        self._pack(recordings, f"no track under {', '.join(map(str, self.roots))} has an audible {{}} stem")

    def _tracks(self) -> Iterator[Path]:
        """Yield the track folders of all roots."""
        for root in self.roots:
            yield from track_folders(root, self.split)

    def _chosen(self, track: str) -> bool:
        """Return whether a track of this name is used."""
        named = any(word in track for word in self.only) or not self.only
        return named and not any(word in track for word in self.exclude)

    def _is_sound(self, track: Path) -> bool:
        """Return whether the headers of a track's files can be read; log why not, and which of several is taken."""
        if not sound_headers(path for _, path in self._stem_paths(track)):
            return False
        for line in several_files(track, self.sources):
            _LOG.warning("the track %s: %s", track.name, line)
        return True

    def _stem_paths(self, track: Path) -> Iterator[tuple[str, Path]]:
        """Yield the sources of a track with their files."""
        for source in self.sources:
            if (path := find_stem(track, source)) is not None:
                yield source, path

    def _read_track(self, track: Path) -> dict[str, Recording]:
        """Read the audible stems of a track; none of them if one is broken."""
        stems: dict[str, np.ndarray] = {}
        for source, path in self._stem_paths(track):
            found = recording_or_none(path, self.sample_rate, self.channels)
            if found is None:
                return {}
            stems[source] = found
        if not stems:
            return {}
        mixture = np.zeros(max(stem.shape[1] for stem in stems.values()), np.float64)
        for stem in stems.values():
            mixture[: stem.shape[1]] += stem.mean(axis=0)
        gain = TRACK_RMS / max(float(np.sqrt(np.mean(mixture**2))), 1e-9)
        return {source: made for source, stem in stems.items() if (made := quantise(stem, gain)) is not None}

    def _read_sound(self, path: Path) -> Recording | None:
        """Read an isolated sound; None if it is silent, or broken, which is logged."""
        sound = recording_or_none(path, self.sample_rate, self.channels)
        if sound is None:
            return None
        return quantise(sound, TRACK_RMS / max(float(np.sqrt(np.mean(sound.astype(np.float64) ** 2))), 1e-9))

    def _append(self, track: dict[str, Recording], recordings: dict[str, list[Recording]]) -> None:
        """Append the stems of a track, and the number of each source's recording, -1 where there is none."""
        stems = [-1] * len(self.sources)
        for source, recording in track.items():
            stems[self.sources.index(source)] = len(recordings[source])
            recordings[source].append(recording)
        if max(stems) >= 0:
            self._stems.append(stems)

    def _positions(
        self, source: str, uniform: tf.Tensor, speed: tf.Tensor, reach: int, seed: Seed
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Move a share of the positions into tracks that all sources of a mixture have in common."""
        recording, start, speeds = super()._positions(source, uniform, speed, reach, seed)
        if self.same_track == 0.0:
            return recording, start, speeds
        # Every try at an audible excerpt stays in the track of its mixture.
        shared = tf.tile(uniform_table((uniform.shape[0] // self.tries, 3), seed, "the track"), (self.tries, 1))
        ends = tf.constant(np.cumsum(self._track_lengths()), tf.float64)
        track = tf.searchsorted(ends, shared[:, 1] * ends[-1], side="right")
        own = tf.gather(tf.constant(np.array(self._stems)[:, self.sources.index(source)]), track)
        moved = (shared[:, 0] < self.same_track) & (own >= 0)
        own = tf.where(moved, own, recording)
        inside = self._packed[source].starts_in(own, uniform, reach, self._margin)
        return own, tf.where(moved, inside, start), tf.where(moved, self._speeds(shared[:, 2]), speeds)

    def _track_lengths(self) -> np.ndarray:
        """Return the samples of the longest stem of each track: (track,) int64."""
        stems = np.array(self._stems)
        packed = [self._packed[source] for source in self.sources]
        each = [np.where(stems[:, k] >= 0, one.lengths[stems[:, k]], 0) for k, one in enumerate(packed)]
        longest: np.ndarray = np.max(each, axis=0)
        return longest
