"""A lock ends with its process, and only what no process has locked is removed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tfsep import locks
from tfsep.errors import JobError

LOCKED = """
import sys, time
from pathlib import Path
from tfsep import locks
with {block}:
    print("ready", flush=True)
    time.sleep(60)
"""


def process(block: str) -> subprocess.Popen[str]:
    """A process in the middle of a block."""
    surroundings = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    started = subprocess.Popen(
        [sys.executable, "-c", LOCKED.format(block=block)], env=surroundings, stdout=subprocess.PIPE, text=True
    )
    assert started.stdout is not None and started.stdout.readline() == "ready\n"
    return started


def killed(started: subprocess.Popen[str]) -> None:
    started.kill()
    started.communicate()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    other = process(f"locks.only_one(Path({str(tmp_path)!r}), 'is training')")
    with pytest.raises(JobError, match="another process is training in .*: wait for its end"):
        with locks.only_one(tmp_path, "is training"):
            pass
    killed(other)
    with locks.only_one(tmp_path, "is training"):
        pass


def test_a_locked_folder_is_made(tmp_path: Path) -> None:
    with locks.only_one(tmp_path / "a" / "b", "writes"):
        assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(JobError, match="cannot write .*file/b"), locks.only_one(tmp_path / "file" / "b", "writes"):
        pass


def test_without_locks_a_warning_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unsupported(*args: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(locks.fcntl, "flock", unsupported)
    with locks.only_one(tmp_path, "is training"):
        assert "cannot lock" in caplog.text and "no other process is training" in caplog.text
    with locks.temporary_folder(tmp_path) as folder:
        locks.sweep_folders(tmp_path, locks.PARTIAL_PREFIX)
        assert folder.is_dir()
    assert names(tmp_path) == []


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    dead = process(f"locks.temporary_folder(Path({str(tmp_path)!r}))")
    alive = process(f"locks.temporary_folder(Path({str(tmp_path)!r}))")
    assert len(names(tmp_path)) == 2
    killed(dead)
    (tmp_path / ".partial-file").touch()
    (tmp_path / ".partial-link").symlink_to(tmp_path)
    (tmp_path / "partial-mine").mkdir()
    with locks.temporary_folder(tmp_path) as own:
        kept = [name for name in names(tmp_path) if name != own.name]
        assert len(kept) == 4 and {".partial-file", ".partial-link", "partial-mine"} < set(kept)
    alive.send_signal(signal.SIGINT)
    alive.communicate()
    assert names(tmp_path) == [".partial-file", ".partial-link", "partial-mine"]


def test_a_temporary_folder_may_become_another(tmp_path: Path) -> None:
    with locks.temporary_folder(tmp_path) as folder:
        (folder / "a").touch()
        folder.rename(tmp_path / "result")
    assert names(tmp_path) == ["result"]


def test_stale_files_are_removed_by_their_pattern(tmp_path: Path) -> None:
    for name in ("old.part", "new.part", "mine.txt"):
        (tmp_path / name).touch()
    lock = locks.acquire(tmp_path / "new.part")
    assert lock is not None and locks.acquire(tmp_path / "new.part") is None
    locks.sweep_files(tmp_path, re.compile(r".*\.part"))
    assert names(tmp_path) == ["mine.txt", "new.part"]
    os.close(lock)


def test_a_file_that_was_replaced_meanwhile_is_not_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.touch()
    flock = locks.fcntl.flock

    def slow(*args: int) -> None:
        os.replace(tmp_path / "other", file)
        flock(*args)

    (tmp_path / "other").touch()
    monkeypatch.setattr(locks.fcntl, "flock", slow)
    with pytest.raises(FileNotFoundError, match="it was replaced"):
        locks.acquire(file)


def test_an_end_without_finally_removes_them_too(tmp_path: Path) -> None:
    with locks.temporary_folder(tmp_path) as folder:
        (folder / "a").touch()
        locks.remove_temporary()
        assert not folder.exists()


def test_a_forked_child_leaves_the_folders_of_its_parent(tmp_path: Path) -> None:
    code = f"""
import os, tempfile
tempfile.tempdir = {str(tmp_path)!r}
from tfsep import locks
folder = locks.folder_of_process()
if os.fork() == 0:
    locks.remove_temporary()
    raise SystemExit
os.wait()
print(folder.is_dir())
"""
    surroundings = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=surroundings, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n" and names(tmp_path) == []
