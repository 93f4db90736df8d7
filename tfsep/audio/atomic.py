"""Files that are there whole or not at all: written under a temporary name in their folder, then renamed."""

from __future__ import annotations

import contextlib
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
        path: Where the file is to be.

    Yields:
        The path of an empty file in the same folder, to be written.

    Raises:
        JobError: The folder cannot be made or written, or ``path`` is a folder.
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
