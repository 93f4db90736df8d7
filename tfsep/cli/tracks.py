"""The tracks that a call names: files, folders of files, the standard input; and the names of their output folders."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tfsep.audio.suffixes import SOUND_SUFFIXES
from tfsep.errors import JobError
from tfsep.separation.names import plain_name

STANDARD_INPUT = "-"
_MAGIC = ((b"fLaC", ".flac"), (b"OggS", ".ogg"), (b"ID3", ".mp3"), (b"\xff\xfb", ".mp3"))


@dataclass(frozen=True)
class Track:
    """One sound to separate.

    Attributes:
        path: the file that holds it.
        label: what messages call it.
        name: its output folder's name; no two tracks of a call share one.
    """

    path: Path
    label: str
    name: str


def collect(inputs: Iterable[str], spool: Path) -> Iterator[Track | JobError]:
    """Yield the tracks behind the arguments of a call, in their order, and a JobError for an input that has none.

    Args:
        inputs: files, folders (their sound files, sorted by name, not those of folders inside) or ``-``.
        spool: a folder for the bytes of the standard input.
    """
    used: set[str] = set()
    seen: set[Path] = set()
    for given in inputs:
        try:
            paths = _paths(given, spool)
        except JobError as error:
            yield error
            continue
        for path in paths:
            if path.resolve() in seen:
                continue
            seen.add(path.resolve())
            label = "standard input" if given == STANDARD_INPUT else str(path)
            yield Track(path, label, _free_name(plain_name(path.stem), used))


def _paths(given: str, spool: Path) -> list[Path]:
    """Return the files behind one argument."""
    if given == STANDARD_INPUT:
        return [_spool_standard_input(spool)]
    path = Path(given)
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if is_sound(file))
        if not found:
            raise JobError(f"{given}: the folder holds no sound file")
        return found
    if not os.path.lexists(path):
        raise JobError(f"{given}: no such file")
    return [path]


def is_sound(path: Path) -> bool:
    """Return whether a path looks like a visible sound file."""
    return path.suffix.lower() in SOUND_SUFFIXES and not path.name.startswith(".") and path.is_file()


def _spool_standard_input(spool: Path) -> Path:
    """Copy the standard input to a file whose suffix tells its format."""
    source = sys.stdin.buffer
    head = source.read(4)
    if not head:
        raise JobError("standard input: a sound file is expected, got 0 bytes")
    suffix = next((suffix for magic, suffix in _MAGIC if head.startswith(magic)), ".wav")
    path = spool / f"stdin{suffix}"
    with path.open("wb") as target:
        target.write(head)
        shutil.copyfileobj(source, target)
    return path


def _free_name(name: str, used: set[str]) -> str:
    """Return the name, with a number where another track has it; names that differ in case alone are the same."""
    number, free = 1, name
    while free.casefold() in used:
        number += 1
        free = f"{name}_{number}"
    used.add(free.casefold())
    return free


def complain(error: Exception, track: Track | JobError) -> None:
    """Print an error as one line on stderr that names the input."""
    text = " ".join(str(error).split())
    if isinstance(track, Track):
        text = text.replace(str(track.path), track.label)
        text = text if track.label in text else f"{track.label}: {text}"
    print(f"error: {text}", file=sys.stderr, flush=True)
