"""File-name suffixes that count as sound files, and the files of a folder that have one.

There is one list, and letters' case never matters. Names that begin with a dot are hidden files,
among them those that other systems leave beside each file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from tfsep.errors import JobError

#: In the order in which files of one recording are preferred: lossless ones first.
_ORDERED = (
    ".flac .wav .wave .rf64 .w64 .aif .aiff .aifc .caf .au .wv .tta .ape "
    ".ogg .oga .opus .mp3 .mp2 .m4a .m4b .aac .adts .ac3 .eac3 .dts .wma .asf .amr .mka .webm .mp4 .m4v .mov .3gp .mkv"
).split()
SOUND_SUFFIXES = frozenset(_ORDERED)


def is_sound(name: str) -> bool:
    """Return whether a file name is that of a visible sound file."""
    return os.path.splitext(name)[1].lower() in SOUND_SUFFIXES and not name.startswith(".")


def sound_files(folder: Path, deep: bool = False) -> list[Path]:
    """Return the visible sound files of a folder in alphabetical order, links that lead nowhere among them.

    Args:
        folder: an existing one.
        deep: at any depth below it, but not below hidden folders.

    Raises:
        JobError: if it, or a folder below it, cannot be read.
    """
    found: list[Path] = []
    try:
        for above, folders, names in os.walk(folder, onerror=_raise):
            folders[:] = [name for name in folders if deep and not name.startswith(".")]
            found += [Path(above, name) for name in names if is_sound(name)]
    except OSError as error:
        raise JobError(f"the folder {error.filename or folder} cannot be read: {error.strerror}") from error
    return sorted(found)


def _raise(error: OSError) -> None:
    raise error


def stem_candidates(folder: Path, name: str) -> list[Path]:
    """Return the sound files of a folder whose names without suffix are ``name``, the preferred one first.

    That is the one with the name's own letters' case, then the lossless one.

    Raises:
        JobError: if the folder cannot be read.
    """
    found = [path for path in sound_files(folder) if path.stem.casefold() == name.casefold()]
    return sorted(found, key=lambda path: (path.stem != name, _ORDERED.index(path.suffix.lower()), path.name))


def find_stem(folder: Path, name: str) -> Path | None:
    """Return the preferred one of :func:`stem_candidates`, or None.

    Raises:
        JobError: if the folder cannot be read.
    """
    return next(iter(stem_candidates(folder, name)), None)


def several_files(folder: Path, names: Iterable[str]) -> list[str]:
    """Return a line for each of the names that several files of a folder have: which there are and which is taken.

    Raises:
        JobError: if the folder cannot be read.
    """
    found = [(name, [path.name for path in stem_candidates(folder, name)]) for name in names]
    return [
        f"there must be one file of {name!r}, got {', '.join(sorted(files))}: {files[0]} is taken"
        for name, files in found
        if len(files) > 1
    ]
