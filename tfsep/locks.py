"""Locks that end with their process, and temporary folders that a later process can tell are stale.

A lock is on a file or a folder itself (``flock``): however its process ends, the lock ends with it.
What is temporary is locked as long as it is in use, so that whatever a killed process left behind
can be removed by the next one. On file systems without such locks nothing is removed.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tfsep.errors import JobError

#: Prefix of temporary folders in the folder of the system for such.
SPOOL_PREFIX = "tfsep-tmp-"
#: Prefix of temporary folders in a folder of results.
PARTIAL_PREFIX = ".partial-"
_LOG = logging.getLogger(__name__)
_IN_USE: set[Path] = set()
# A child that is forked off has no part in the folders of its parent, and must not remove them at its end.
os.register_at_fork(after_in_child=_IN_USE.clear)


def acquire(path: Path) -> int | None:
    """Return a file descriptor that locks a file or folder until it is closed, None where another has locked it.

    Raises:
        OSError: if there is no such path, or its file system has no locks.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(descriptor), os.lstat(path)):
            raise FileNotFoundError(None, "it was replaced", str(path))
    except BaseException as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            return None
        raise
    return descriptor


@contextlib.contextmanager
def only_one(folder: Path, work: str) -> Iterator[None]:
    """Keep a folder to this process for the length of a block; the folder is made if absent.

    Where the file system has no locks, a warning says so.

    Args:
        folder: what is locked.
        work: what is done in it, for the message of a second process: "is training".

    Raises:
        JobError: if another process has locked it, or it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise JobError(f"cannot write {folder}: {error.strerror or error}") from error
    try:
        descriptor = acquire(folder.resolve())
    except OSError as error:
        _LOG.warning("cannot lock %s (%s): make sure that no other process %s in it", folder, error.strerror, work)
        yield
        return
    if descriptor is None:
        raise JobError(f"another process {work} in {folder}: wait for its end, or give another folder")
    try:
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def temporary_folder(parent: Path | None = None) -> Iterator[Path]:
    """Yield a folder that is removed at the end of the block; first remove those that killed processes left there.

    Args:
        parent: where it is made, with the permissions of any new folder; None is the folder of the
            system for temporary files, where it is the user's alone.

    Raises:
        OSError: if it cannot be made.
    """
    where = Path(tempfile.gettempdir()) if parent is None else parent
    prefix = SPOOL_PREFIX if parent is None else PARTIAL_PREFIX
    sweep_folders(where, prefix)
    folder, descriptor = _locked_folder(where, prefix)
    _IN_USE.add(folder)
    try:
        if parent is not None:
            folder.chmod(0o777 & ~_umask())
        yield folder
    finally:
        if folder in _IN_USE:
            shutil.rmtree(folder, ignore_errors=True)
        _IN_USE.discard(folder)
        if descriptor is not None:
            os.close(descriptor)


def folder_of_process() -> Path:
    """Make a :func:`temporary_folder` of the system's that lasts as long as this process.

    Raises:
        JobError: if it cannot be made.
    """
    block = contextlib.ExitStack()
    try:
        folder = block.enter_context(temporary_folder())
    except OSError as error:
        raise no_temporary_folder(error) from error
    atexit.register(block.close)
    return folder


def no_temporary_folder(error: OSError) -> JobError:
    """Return what to say where the folder of the system for temporary files cannot hold one."""
    return JobError(f"no temporary folder can be made ({error.strerror or error}); TMPDIR says where")


def sweep_temporary() -> None:
    """Remove what killed processes of this user left in the folder of the system for temporary files."""
    with contextlib.suppress(OSError):
        sweep_folders(Path(tempfile.gettempdir()), SPOOL_PREFIX)


def remove_temporary() -> None:
    """Remove the temporary folders of this process, which is about to end without its ``finally`` blocks."""
    for folder in tuple(_IN_USE):
        shutil.rmtree(folder, ignore_errors=True)


def sweep_folders(where: Path, prefix: str) -> None:
    """Remove this user's folders of a prefix that no process has locked, and nothing else."""
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(where)):
            if entry.name.startswith(prefix) and entry.is_dir(follow_symlinks=False):
                with _if_stale(Path(entry.path)) as stale:
                    if stale:
                        shutil.rmtree(entry.path, ignore_errors=True)


def sweep_files(where: Path, pattern: re.Pattern[str]) -> None:
    """Remove this user's files of a pattern that no process has locked, and nothing else."""
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(where)):
            if pattern.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with _if_stale(Path(entry.path)) as stale:
                    if stale:
                        os.unlink(entry.path)


@contextlib.contextmanager
def _if_stale(path: Path) -> Iterator[bool]:
    """Yield whether a path is this user's and locked by nobody; within the block it is locked by this process."""
    descriptor = None
    with contextlib.suppress(OSError):
        if path.lstat().st_uid == os.getuid():
            descriptor = acquire(path)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _locked_folder(where: Path, prefix: str) -> tuple[Path, int | None]:
    """Make a folder and lock it; another process may take it for stale in between, and another one is made then."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=where))
        try:
            descriptor = acquire(folder)
        except FileNotFoundError:
            continue
        except OSError:
            return folder, None
        if descriptor is not None:
            return folder, descriptor
        shutil.rmtree(folder, ignore_errors=True)


def _umask() -> int:
    """Return the permissions that new files of this process lack."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
