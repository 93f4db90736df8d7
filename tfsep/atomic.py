"""Write files whole or not at all: under a temporary name in their folder, which is then renamed."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from tfsep.errors import JobError


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary file that replaces ``path`` when the ``with`` block ends without an error.

    Folders that are missing above ``path`` are made. After an exception the temporary file is
    removed, and so are the folders that were made for it, unless something else has been put into
    them; a file that was at ``path`` stays as it was.

    Args:
        path: where the file is to be.

    Yields:
        The path of an empty file in the same folder, to be written.

    Raises:
        JobError: if the folder cannot be made or written, or ``path`` is a folder.
    """
    target = Path(path)
    temporary = target.parent / f".{secrets.token_hex(8)}.part"
    made: list[Path] = []
    done = False
    try:
        with _explained(target):
            _make_folders(target.parent, made)
            if target.is_dir():
                raise IsADirectoryError(None, "it is a folder")
            temporary.touch(exist_ok=False)
        yield temporary
        with _explained(target):
            os.replace(temporary, target)
        done = True
    finally:
        if not done:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
                for folder in reversed(made):
                    folder.rmdir()


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file in UTF-8 whole or not at all, see :func:`replacing`.

    Raises:
        JobError: if the file cannot be written.
    """
    with replacing(path) as temporary, _explained(Path(path)):
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: object, indent: int) -> None:
    """Write a value as JSON, whole or not at all, see :func:`replacing`.

    Args:
        path: where the file is to be.
        value: plain data, in which every number is finite.
        indent: spaces by which each depth is indented.

    Raises:
        JobError: if the file cannot be written.
        ValueError: for a number that is not finite.
    """
    write_text(path, json.dumps(value, indent=indent, allow_nan=False) + "\n")


def _make_folders(folder: Path, made: list[Path]) -> None:
    """Make a folder and those above it, and append to ``made`` which were missing."""
    missing = [candidate for candidate in (folder, *folder.parents) if not candidate.exists()]
    for candidate in reversed(missing):
        candidate.mkdir(exist_ok=True)
        made.append(candidate)


@contextlib.contextmanager
def _explained(target: Path) -> Iterator[None]:
    """Turn an error of the file system into a ``JobError`` that names the file."""
    try:
        yield
    except OSError as error:
        raise JobError(f"cannot write {target}: {error.strerror or error}") from error
