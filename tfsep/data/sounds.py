"""Folders of isolated sounds: recordings of one source each, that belong to no song.

Layout: ``<root>/<source>/**/*.(wav|flac|ogg|mp3)``, of any length: single notes and strokes as well
as whole takes. A sound shorter than an excerpt lies in it whole, at a random position, with silence
around it. Every sound is scaled to an RMS of 0.05 and a peak of at most 1, so that four sources
together are as loud as a track of stems.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfsep.audio.suffixes import sound_files
from tfsep.data.packed import Recording, quantise, recording_or_none, sound_headers
from tfsep.data.recordings import RecordedSources
from tfsep.errors import InputError

SOUND_RMS = 0.05


def sound_paths(root: str | Path, source: str) -> list[Path]:
    """Return the sound files of one source, at any depth below its folder, sorted and without hidden ones."""
    folder = Path(root) / source
    return sound_files(folder, deep=True) if folder.is_dir() else []


@dataclass(frozen=True)
class SoundsData(RecordedSources):
    """Isolated sounds as a data set; the other settings are those of its base class.

    Attributes:
        roots: folders in the layout above; each must have sounds of one source at least.
        exclude: files whose path below the root contains one of these words are left out.
    """

    roots: Sequence[str]
    exclude: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Read all sounds; files that cannot be read are logged and left out.

        Raises:
            InputError: for a root or a source without any sound, or settings out of range.
        """
        self._check("sounds", "roots", "exclude")
        recordings: dict[str, list[Recording]] = {source: [] for source in self.sources}
        chosen: dict[str, list[Path]] = {source: [] for source in self.sources}
        for root in self.roots:
            paths = {source: sound_paths(root, source) for source in self.sources}
            if not any(paths.values()):
                names = ", ".join(self.sources)
                raise InputError(f"a sounds folder holds <source>/**/*.wav, but {root} has none of {names}")
            for source, found in paths.items():
                chosen[source] += [path for path in found if self._chosen(path.relative_to(root))]
        whole = {source: [path for path in found if sound_headers([path])] for source, found in chosen.items()}
        for source, found in whole.items():
            recordings[source] += filter(None, map(self._read, found))
        self._pack(recordings, f"no sound of {{}} under {', '.join(map(str, self.roots))} is audible")

    @property
    def _margin(self) -> int:
        """Return the samples by which excerpts may extend beyond their recording; a shorter recording is padded."""
        return round(self.offset * self.sample_rate)

    def _chosen(self, path: Path) -> bool:
        """Return whether a file, by its path below the root, is not excluded."""
        return not any(word in str(path) for word in self.exclude)

    def _read(self, path: Path) -> Recording | None:
        """Read a sound as int16 samples with its scale; None if it is silent, or broken, which is logged."""
        sound = recording_or_none(path, self.sample_rate, self.channels)
        if sound is None:
            return None
        rms, peak = float(np.sqrt(np.mean(sound.astype(np.float64) ** 2))), float(np.abs(sound).max())
        return quantise(sound, min(SOUND_RMS / rms, 1.0 / peak)) if peak > 0.0 else None
