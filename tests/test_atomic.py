"""Files are written completely or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tfsep import atomic
from tfsep.atomic import publish, replacing, write_json, write_text
from tfsep.errors import JobError


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


@pytest.mark.parametrize("link", [False, True])
def test_a_pipe_is_not_replaced(tmp_path: Path, link: bool) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    target = tmp_path / ("link" if link else "pipe")
    with pytest.raises(JobError, match="cannot write .*: it is a device or a pipe, which a file would replace"):
        atomic.write_text(target, "text")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode) and target.is_symlink() == link
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "pipe"]


def test_no_file_takes_the_name_of_a_device() -> None:
    for name in ("full", "null", "stdout"):
        assert atomic.not_a_file(Path("/dev", name)) == "it is a device or a pipe, which a file would replace"
    assert atomic.not_a_file(Path("/dev/shm/tfsep-record.json")) is None


def test_the_file_appears_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "report.json"
    with replacing(target) as temporary:
        assert temporary.parent == target.parent
        temporary.write_text("{}")
        assert not target.exists()
    assert target.read_text() == "{}" and left_in(tmp_path) == ["folder", "new", "report.json"]


def test_a_failure_keeps_the_earlier_file(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(target) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert target.read_text() == "old" and left_in(tmp_path) == ["report.json"]


def test_a_failure_removes_its_folders_but_not_others(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "a" / "b" / "c.txt"):
        (tmp_path / "a" / "other").touch()
        raise ZeroDivisionError
    assert left_in(tmp_path) == ["a", "other"]


def test_errors_of_the_body_are_its_own(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "a.txt"):
        open(tmp_path / "nothing")
    assert left_in(tmp_path) == []


def test_a_file_that_came_meanwhile_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with pytest.raises(JobError, match=r"cannot write .*a\.txt: it is there already"):
        with replacing(target, overwrite=False) as temporary:
            temporary.write_text("second")
            target.write_text("first")
    assert target.read_text() == "first" and left_in(tmp_path) == ["a.txt"]
    with replacing(tmp_path / "b.txt", overwrite=False) as temporary:
        temporary.write_text("b")
    assert (tmp_path / "b.txt").read_text() == "b" and left_in(tmp_path) == ["a.txt", "b.txt"]


@pytest.mark.parametrize("links", [True, False])
def test_publishing_never_replaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    def unsupported(*args: object, **kwargs: object) -> None:
        raise OSError(1, "Operation not permitted")

    if not links:
        monkeypatch.setattr(os, "link", unsupported)
    (tmp_path / "new").write_text("new")
    (tmp_path / "old").write_text("old")
    with pytest.raises(FileExistsError):
        publish(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old").read_text() == "old"
    publish(tmp_path / "new", tmp_path / "other")
    assert (tmp_path / "other").read_text() == "new" and left_in(tmp_path) == ["old", "other"]


def test_the_bytes_are_on_the_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, flushed = tmp_path / "a.txt", []
    monkeypatch.setattr(atomic, "flush", lambda path: flushed.append((path == tmp_path, target.exists())))
    write_text(target, "a")
    assert flushed == [(False, False), (True, True)]


def test_a_file_that_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".0123456789abcdef.part").touch()
    (tmp_path / ".mine.part").touch()
    write_text(tmp_path / "a.txt", "a")
    assert left_in(tmp_path) == [".mine.part", "a.txt"]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with replacing(tmp_path / "a.txt"):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o644


@pytest.mark.parametrize("place", ["file/a.txt", "file/b/a.txt", "folder", "n" * 300])
def test_paths_that_cannot_be_written_are_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(JobError, match="cannot write .*: ") as caught, replacing(tmp_path / place):
        pass
    assert "\n" not in str(caught.value)
    assert left_in(tmp_path) == ["file", "folder"]


def test_text_is_written_whole(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "first")
    write_text(tmp_path / "a.txt", "sécond")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "sécond" and left_in(tmp_path) == ["a.txt"]


def test_a_text_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kwargs: object) -> int:
        raise OSError(28, "No space left on device")

    (tmp_path / "a.txt").write_text("old")
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(JobError, match=r"cannot write .*a\.txt: No space left on device"):
        write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "old" and left_in(tmp_path) == ["a.txt"]


def test_json_is_indented_and_finite(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": [1.5, None]}, indent=1)
    assert (tmp_path / "a.json").read_text() == '{\n "b": [\n  1.5,\n  null\n ]\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", float("nan"), indent=1)
    assert left_in(tmp_path) == ["a.json"]


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_a_file_that_a_library_puts_there_gets_the_usual_mode(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    with atomic.replacing(tmp_path / "a") as temporary:
        other = tmp_path / "other"
        other.touch(0o600)
        other.replace(temporary)
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "usual").stat().st_mode
