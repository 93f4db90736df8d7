"""The tracks that a call names: files, folders of files, the standard input; and the names of their output folders."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tfsep.audio.suffixes import sound_files
from tfsep.cli import terminal
from tfsep.cli.terminal import plain
from tfsep.errors import JobError
from tfsep.separation.names import plain_name

STANDARD_INPUT = "-"
_MAGIC = (
    (0, b"fLaC", ".flac"),
    (0, b"OggS", ".ogg"),
    (0, b"ID3", ".mp3"),
    (0, b"\xff\xfb", ".mp3"),
    (0, b"\x1a\x45\xdf\xa3", ".mka"),
    (4, b"ftyp", ".m4a"),
)
_COPIED = 1 << 20


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


def collect(inputs: Iterable[str], spool: Path, most_bytes: int) -> Iterator[Track | JobError]:
    """Yield the tracks behind the arguments of a call, in their order, and a JobError for an input that has none.

    Args:
        inputs: files, folders (their sound files, sorted by name, not those of folders inside) or ``-``.
        spool: a folder for the bytes of the standard input.
        most_bytes: of the standard input; more is refused.
    """
    used: set[str] = set()
    seen: set[str] = set()
    for given in inputs:
        try:
            paths = _paths(given, spool, most_bytes)
        except JobError as error:
            yield error
            continue
        for path in paths:
            real = os.path.realpath(path)
            if real in seen:
                continue
            seen.add(real)
            label = "standard input" if given == STANDARD_INPUT else plain(path)
            yield Track(path, label, _free_name(plain_name(path.stem), used))


def _paths(given: str, spool: Path, most_bytes: int) -> list[Path]:
    """Return the files behind one argument."""
    if given == STANDARD_INPUT:
        return [_spool_standard_input(spool, most_bytes)]
    path = Path(given)
    try:
        if stat.S_ISDIR(path.stat().st_mode):
            found = sound_files(path)
            if not found:
                raise JobError(f"{given}: the folder holds no sound file")
            return found
    except FileNotFoundError as error:
        raise JobError(f"{given}: no such file") from error
    except OSError as error:
        raise JobError(f"{given}: it cannot be read: {error.strerror}") from error
    return [path]


def _spool_standard_input(spool: Path, most_bytes: int) -> Path:
    """Copy the standard input to a file whose suffix tells its format; after an error nothing of it is left."""
    source = sys.stdin.buffer
    head = _read(source, 12)
    if not head:
        raise JobError("standard input: a sound file is expected, got 0 bytes")
    suffix = next((suffix for at, magic, suffix in _MAGIC if head[at:].startswith(magic)), ".wav")
    path, count = spool / f"stdin{suffix}", len(head)
    try:
        with path.open("wb") as target:
            target.write(head)
            while block := _read(source, _COPIED):
                count += len(block)
                if count > most_bytes:
                    raise JobError(f"standard input: --max_duration allows {most_bytes} bytes at most, got more")
                target.write(block)
    except (OSError, JobError) as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise JobError(f"standard input: it cannot be kept in {spool.parent}: {error.strerror}") from error
        raise
    return path


def _read(source: BinaryIO, most: int) -> bytes:
    """Read up to ``most`` bytes of the standard input."""
    try:
        return source.read(most)
    except OSError as error:
        raise JobError(f"standard input: it cannot be read: {error.strerror}") from error


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
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(track, Track):
        text = plain(text.replace(str(track.path), track.label))
        text = text if track.label in text else f"{track.label}: {text}"
    terminal.complain("error", text)
