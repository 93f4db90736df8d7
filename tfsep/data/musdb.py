"""musdb18 and musdb18-hq as isolated sources, with the splits, streams and reader of the ``musdb`` package.

musdb18-hq, ``<root>/<train|test>/<track>/<source>.wav``, is read in place. musdb18,
``<root>/<train|test>/<track>.stem.mp4``, is decoded once: each track becomes a folder
``<cache>/<train|test>/<track>`` of 16-bit FLAC files at its own rate, stereo, with the true mixture
among them, from which any excerpt can be read without the whole song. A file that has changed since
is decoded again. The split "valid" are the package's 14 validation tracks, "train" the others of
its training subset.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
import os
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Protocol, TypedDict

import numpy as np

from tfsep.atomic import write_text
from tfsep.audio import files
from tfsep.audio.ffmpeg import probe
from tfsep.data.stems import StemsData
from tfsep.errors import InputError, JobError

SUFFIX = ".stem.mp4"
SPLITS = ("train", "valid", "test")
_SUBSETS = ("train", "test")
_MARK = "decoded.json"
_TOLERANCE = 0.1
_LOG = logging.getLogger(__name__)


class PackageSettings(TypedDict):
    """What is used of the package's own settings: names of tracks, and the number of each source's stream."""

    validation_tracks: list[str]
    stem_ids: dict[str, int]


class _Track(Protocol):
    """The package's track of a file."""

    rate: float

    def load_audio(self, path: str, stem_id: int) -> np.ndarray:
        """Return the samples (time, channels) of one stream."""


def package_settings() -> PackageSettings:
    """Read the settings that come with the package, without importing it (which needs ffmpeg).

    Raises:
        JobError: if the package is not installed.
    """
    found = importlib.util.find_spec("musdb")
    if found is None or found.origin is None:
        raise JobError("musdb data need the package musdb, which is not installed (pip install musdb)")
    import yaml

    return yaml.safe_load((Path(found.origin).parent / "configs" / "mus.yaml").read_text(encoding="utf-8"))


def is_musdb(root: str | Path) -> bool:
    """Return whether a folder holds .stem.mp4 files, or a training subset with a validation track of musdb18-hq."""
    if any(any(Path(root, subset).glob(f"*{SUFFIX}")) for subset in _SUBSETS):
        return True
    train = Path(root, "train")
    return train.is_dir() and any((train / name).is_dir() for name in package_settings()["validation_tracks"])


def default_cache(root: str | Path) -> Path:
    """Return where the tracks of a musdb18 are decoded to: its own folder below the user's cache."""
    full = Path(root).resolve()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tfsep" / f"{full.name}-{zlib.crc32(str(full).encode()):08x}"


def musdb_folders(root: str | Path, split: str, cache: str | Path | None = None) -> list[Path]:
    """Return the folders ``<track>/<source>.(wav|flac)`` of a split, with ``mixture``; decode what is not yet.

    Args:
        root: of musdb18 or musdb18-hq.
        split: "train", "valid" or "test".
        cache: where .stem.mp4 files are decoded to; None: :func:`default_cache`.

    Raises:
        InputError: for another split, or a split without tracks.
        JobError: without ffmpeg and ffprobe where they are needed, or if no file can be decoded;
            a single one that cannot is logged as an error.
    """
    if split not in SPLITS:
        raise InputError(f"split of musdb must be one of {', '.join(SPLITS)}, got {split!r}")
    subset = Path(root, "test" if split == "test" else "train")
    stems = {path.name.removesuffix(SUFFIX): path for path in sorted(subset.glob(f"*{SUFFIX}"))}
    waves = {path.name: path for path in sorted(subset.glob("*")) if path.is_dir()}
    validation = set(package_settings()["validation_tracks"])
    wanted = {name for name in stems or waves if split == "test" or (name in validation) == (split == "valid")}
    tracks = [(name, path) for name, path in (stems or waves).items() if name in wanted]
    if not tracks:
        raise InputError(f"a musdb root holds train/ and test/, but {subset} has no track of the split {split!r}")
    if not stems:
        return [path for _, path in tracks]
    target = Path(cache or default_cache(root)) / subset.name
    found, errors = [], []
    for name, path in tracks:
        try:
            found.append(decoded(path, target / name))
        except JobError as error:
            errors.append(error)
    if not found:
        raise errors[0]
    for each in errors:
        _LOG.error("left out of the data: %s", each)
    return found


def decoded(path: Path, folder: Path) -> Path:
    """Decode a .stem.mp4 to ``folder``, unless that holds it already, and return the folder.

    Raises:
        JobError: without ffmpeg and ffprobe, for a broken file, or a folder that cannot be written.
    """
    status = path.stat()
    stamp = json.dumps({"bytes": status.st_size, "modified": status.st_mtime_ns})
    mark = folder / _MARK
    if mark.is_file() and mark.read_text(encoding="utf-8") == stamp:
        return folder
    mark.unlink(missing_ok=True)
    track = _open(path)
    for name, stream in package_settings()["stem_ids"].items():
        try:
            audio = track.load_audio(str(path), stream)
        except Exception as error:
            raise _broken(path, error) from error
        announced = probe(path, stream).seconds
        if announced is not None and len(audio) / track.rate < announced - _TOLERANCE:
            lost = announced - len(audio) / track.rate
            raise JobError(
                f"truncated file: stream {stream} announces {announced:.2f} s, {lost:.2f} s are missing: {path}"
            )
        with files.Writer(folder / f"{name}.flac", round(track.rate), audio.shape[1], "16", "flac") as writer:
            writer.write(audio.T)
    write_text(mark, stamp)
    return folder


def _open(path: Path) -> _Track:
    """Open a file by the package."""
    try:
        track: _Track = _package().MultiTrack(path=str(path), name=path.name.removesuffix(SUFFIX), stem_id=0)
        return track
    except JobError:
        raise
    except Exception as error:
        raise _broken(path, error) from error


def _broken(path: Path, error: Exception) -> JobError:
    """Return the error for any failure of the package or ffmpeg: the file is not what its name says."""
    return JobError(f"{path} cannot be decoded as a {SUFFIX} of musdb ({type(error).__name__})")


def _package() -> ModuleType:
    """Import the package, which needs ffmpeg and ffprobe."""
    missing = [program for program in ("ffmpeg", "ffprobe") if shutil.which(program) is None]
    if missing:
        raise JobError(f"{SUFFIX} files need {' and '.join(missing)}, which is not installed (Debian: ffmpeg)")
    return importlib.import_module("musdb.audio_classes")


@dataclass(frozen=True)
class MusdbData(StemsData):
    """The isolated sources of musdb18 or musdb18-hq; the other settings are those of its base classes.

    Attributes:
        roots: of musdb18 or musdb18-hq.
        split: "train", "valid" or "test".
        cache: where .stem.mp4 files are decoded to; None: one folder for each root below the user's
            cache.
    """

    cache: str | None = None

    def _tracks(self) -> Iterator[Path]:
        """Yield the track folders of all roots."""
        for root in self.roots:
            cache = self.cache and str(Path(self.cache) / default_cache(root).name)
            yield from musdb_folders(root, self.split, cache)
