"""Folders of stems: isolated sources cut at random from real recordings.

Layout: ``<root>/<split>/<track>/<source>.(wav|flac|ogg|mp3)``. Tracks are read once, resampled and kept as 16-bit
samples; every track is scaled so that the sum of its stems has an RMS of 0.1, which keeps the balance of its sources
and makes albums of different loudness alike. A source drawn from here never brings along the others of its track: cuts
of different sources come from different places (recordings.py says how they are drawn and changed).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfsep.data.recordings import RecordedSources
from tfsep.data.reels import SUFFIXES, Recording, packed, read_recording
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
        roots: folders in the layout above.
        split: sub-folder of each root.
        exclude: tracks whose folder names contain one of these words are left out.
        only: where there are any, tracks whose folder names contain none of these words are left out.
    """

    roots: Sequence[str]
    split: str = "train"
    exclude: Sequence[str] = ()
    only: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Read all tracks.

        Raises:
            InputError: for an empty folder, a source without any sound, or settings out of range.
        """
        self._check("stems", "roots", "exclude", "only")
        recordings: dict[str, list[Recording]] = {source: [] for source in self.sources}
        for track in self._tracks():
            if self._chosen(track.name):
                self._read_track(track, recordings)
        self._splice(recordings, f"no track under {', '.join(map(str, self.roots))} has an audible {{}} stem")

    def _tracks(self) -> Iterator[Path]:
        """The track folders, of all roots."""
        for root in self.roots:
            yield from track_folders(root, self.split)

    def _chosen(self, track: str) -> bool:
        """Whether a track of this name takes part."""
        named = any(word in track for word in self.only) or not self.only
        return named and not any(word in track for word in self.exclude)

    def _read_track(self, track: Path, recordings: dict[str, list[Recording]]) -> None:
        """Append the audible stems of a track as int16 samples and the scale that gives them back."""
        paths = {source: path for source in self.sources if (path := stem_path(track, source)) is not None}
        stems = {source: read_recording(path, self.sample_rate, self.channels) for source, path in paths.items()}
        if not stems:
            return
        mixture = np.zeros(max(stem.shape[1] for stem in stems.values()), np.float64)
        for stem in stems.values():
            mixture[: stem.shape[1]] += stem.mean(axis=0)
        level = TRACK_RMS / max(float(np.sqrt(np.mean(mixture**2))), 1e-9)
        for source, stem in stems.items():
            if (recording := packed(stem, level)) is not None:
                recordings[source].append(recording)
