"""Write files whole or not at all: under a temporary name in their folder, which is then renamed.

The file is on the disk before its name is: after a power failure there is the earlier file or the
new one. Temporary files are locked while they are written, and those that a killed process left
are removed by the next one that writes into their folder (:mod:`tfsep.locks`).
"""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from tfsep import locks
from tfsep.errors import JobError

_TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.part")
_NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK)


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], overwrite: bool = True) -> Iterator[Path]:
    """Yield a temporary file that replaces ``path`` when the ``with`` block ends without an error.

    Folders that are missing above ``path`` are made. After an exception the temporary file is
    removed, and so are the folders that were made for it, unless something else has been put into
    them; a file that was at ``path`` stays as it was.

    Args:
        path: where the file is to be.
        overwrite: whether a file that is there at the end of the block may be replaced.

    Yields:
        The path of an empty file in the same folder, to be written.

    Raises:
        JobError: if the folder cannot be made or written, ``path`` is a folder, a device or a pipe, or
            it is a file that is not to be replaced.
    """
    target = Path(path)
    temporary = target.parent / f".{secrets.token_hex(8)}.part"
    made: list[Path] = []
    done, lock = False, None
    try:
        with _explained(target):
            _make_folders(target.parent, made)
            if reason := not_a_file(target):
                raise OSError(None, reason)
            _sweep(target.parent)
            lock = _locked_file(temporary)
            usual = stat.S_IMODE(temporary.stat().st_mode)
        yield temporary
        with _explained(target):
            # A library may have put a file of its own there, which its owner alone can read.
            os.chmod(temporary, usual)
            flush(temporary)
            os.replace(temporary, target) if overwrite else publish(temporary, target)
            flush(target.parent)
        done = True
    finally:
        if lock is not None:
            os.close(lock)
        if not done:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
                for folder in reversed(made):
                    folder.rmdir()


def not_a_file(target: Path) -> str | None:
    """Return why no file may take the place of what is at a path, such as a device, which would be lost; else None."""
    if target.is_dir():
        return "it is a folder"
    if target.parent.resolve() == Path("/dev") or (target.exists() and not target.is_file()):
        return "it is a device or a pipe, which a file would replace"
    return None


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


def publish(source: Path, target: Path) -> None:
    """Give a finished file its name, unless another file has that name by now.

    Args:
        source: the file, on the same file system.
        target: its name.

    Raises:
        FileExistsError: if there is a file of that name; both stay as they are.
    """
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.EEXIST:
            raise FileExistsError(errno.EEXIST, "it is there already", str(target)) from error
        if error.errno not in _NO_LINKS:
            raise
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        os.replace(source, target)
    else:
        source.unlink()


def flush(path: Path) -> None:
    """Have a file's contents, or the names in a folder, written to the disk, where the folder's file system can.

    Raises:
        OSError: if a file cannot be written.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        if not path.is_dir():
            raise
    finally:
        os.close(descriptor)


@functools.lru_cache(maxsize=256)
def _sweep(folder: Path) -> None:
    """Remove the temporary files that killed processes left in a folder, once for each folder."""
    locks.sweep_files(folder, _TEMPORARY)


def _locked_file(file: Path) -> int | None:
    """Make an empty file and lock it, where its file system has locks."""
    while True:
        file.touch(exist_ok=False)
        try:
            lock = locks.acquire(file)
        except FileNotFoundError:
            continue
        except OSError:
            return None
        if lock is not None:
            return lock
        file.unlink(missing_ok=True)


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
