"""The decoder: what it is asked first, how much it may give, and how often it runs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tfsep.audio import ffmpeg, files
from tfsep.audio.formats import TooLongError
from tfsep.errors import JobError
from tfsep.locks import SPOOL_PREFIX

pytestmark = pytest.mark.programs

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def programs() -> None:
    """Skip where the programs are missing."""
    if not (shutil.which("ffmpeg") and shutil.which("ffprobe")):
        pytest.skip("needs ffmpeg and ffprobe")


def encoded(path: Path, *source: str) -> Path:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *source, str(path)], check=True)
    return path


@pytest.fixture
def song(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "s.wav", np.random.default_rng(0).uniform(-0.2, 0.2, (32000, 2)), 16000)
    return encoded(tmp_path / "song.mka", "-i", str(tmp_path / "s.wav"), "-c:a", "libvorbis")


@pytest.fixture
def decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the decoder an empty temporary folder of its own."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(ffmpeg, "_DECODED", ffmpeg._Decoded())
    return folder


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def shadow(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, script: str) -> None:
    """Put a program of this name in front of the others."""
    (folder / "programs").mkdir(exist_ok=True)
    (folder / "programs" / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / "programs" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'programs'}:{os.environ['PATH']}")


def test_hours_of_silence_are_refused_before_they_are_decoded(tmp_path: Path, decoded: Path) -> None:
    silence = ("-f", "lavfi", "-i", "anullsrc=r=8000:cl=mono:d=900", "-c:a", "flac", "-compression_level", "0")
    bomb = encoded(tmp_path / "bomb.mka", *silence)
    with pytest.raises(TooLongError, match="must last at most 60 s, got 900.0 s: .*bomb.mka"):
        files.info(bomb, max_seconds=60)
    assert size_of(decoded) == 0


def test_a_file_that_announces_nothing_is_decoded_up_to_the_bound(
    tmp_path: Path, decoded: Path, song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    announced = ffmpeg.Announced(None, 16000, 2)
    monkeypatch.setattr(ffmpeg, "probe", lambda path: announced)
    with pytest.raises(TooLongError, match="must last at most 0.5 s, got more"):
        files.info(song, max_seconds=0.5)
    assert size_of(decoded) == 0
    assert files.info(song, max_seconds=2.5).seconds == pytest.approx(2.0, abs=0.05)


def test_a_file_is_decoded_once(tmp_path: Path, decoded: Path, song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shadow(tmp_path, monkeypatch, "ffmpeg", f'echo run >> "{tmp_path}/runs"\nexec {shutil.which("ffmpeg")} "$@"')
    described = files.info(song)
    first, _ = files.read(song)
    assert sum(block.shape[1] for block in files.blocks(song, 777)) == described.frames == first.shape[1]
    assert (tmp_path / "runs").read_text().split() == ["run"]
    os.utime(song, ns=(1, 1))
    files.info(song)
    assert (tmp_path / "runs").read_text().split() == ["run", "run"], "a file that has changed is decoded again"


def test_decoded_sound_is_dropped_when_there_is_much(
    tmp_path: Path, decoded: Path, song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = files.info(song).frames * 8
    monkeypatch.setattr(ffmpeg, "KEPT_BYTES", 2.5 * one)
    for number in range(4):
        path = tmp_path / f"{number}.mka"
        shutil.copy(song, path)
        assert files.read(path)[0].shape[1] == one // 8
    assert size_of(decoded) < 2.6 * one


def test_a_full_disk_is_said_before_and_while(decoded: Path, song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ffmpeg.shutil, "disk_usage", lambda folder: Usage(0, 0, 1_000_000))
    with pytest.raises(JobError, match=r"cannot be kept in .* \(0 MB are needed, 1 MB are free\): .*song.mka"):
        files.info(song)
    monkeypatch.undo()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ffmpeg, "_run", full)
    with pytest.raises(JobError, match=r"cannot be kept in .* \(No space left on device\): .*song.mka"):
        files.info(song)


@pytest.mark.parametrize("name", ["ffmpeg", "ffprobe"])
def test_a_program_that_gives_nothing_is_stopped(
    tmp_path: Path, decoded: Path, song: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    shadow(tmp_path, monkeypatch, name, "exec sleep 60")
    monkeypatch.setattr(ffmpeg, "STALL_SECONDS", 3.0)
    with pytest.raises(JobError, match=f"{name} gives nothing for 3 s: .*song.mka"):
        files.info(song)
    assert size_of(decoded) == 0


def test_a_video_without_sound(tmp_path: Path) -> None:
    video = encoded(tmp_path / "silent.mp4", "-f", "lavfi", "-i", "testsrc=d=1:s=64x64")
    with pytest.raises(JobError, match="must hold sound, got one that holds no sound: .*silent.mp4"):
        files.info(video)


def test_sound_shorter_than_its_video_is_whole(tmp_path: Path, song: Path) -> None:
    picture = ("-f", "lavfi", "-i", "testsrc=d=4:s=64x64", "-i", str(song))
    for name in ("a.mkv", "a.mp4"):
        found = files.info(encoded(tmp_path / name, *picture))
        assert found.seconds == pytest.approx(2.0, abs=0.1)


def test_without_ffprobe_it_is_named(tmp_path: Path, song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "ffmpeg").symlink_to(str(shutil.which("ffmpeg")))
    monkeypatch.setenv("PATH", str(tmp_path / "only"))
    with pytest.raises(JobError, match="unless ffmpeg knows it, whose ffprobe is not installed: .*song.mka"):
        files.info(song)


READING = """
import sys, time
from tfsep.audio import files
files.read(sys.argv[1])
print("ready", flush=True)
time.sleep(60)
"""


def test_what_a_killed_process_decoded_is_removed_by_the_next(tmp_path: Path, decoded: Path, song: Path) -> None:
    """And nothing of one that still reads."""
    surroundings = os.environ | {"TMPDIR": str(decoded), "PYTHONPATH": os.pathsep.join(sys.path)}
    readers = [
        subprocess.Popen([sys.executable, "-c", READING, song], env=surroundings, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        for reader in readers:
            assert reader.stdout is not None and reader.stdout.readline() == "ready\n"
        assert len(list(decoded.iterdir())) == 2 and size_of(decoded) > 0
        readers[0].kill()
        readers[0].wait()
        files.read(song)
        kept = [path.name for path in decoded.iterdir()]
        assert len(kept) == 2 and all(name.startswith(SPOOL_PREFIX) for name in kept)
        readers[1].send_signal(signal.SIGINT)
        readers[1].wait()
        assert len(list(decoded.iterdir())) == 1, "one that ends by itself removes its own"
    finally:
        for reader in readers:
            reader.kill()
            reader.wait()


def test_no_temporary_folder_is_one_line(decoded: Path, song: Path) -> None:
    decoded.rmdir()
    with pytest.raises(JobError, match=r"no temporary folder can be made \(No such file or directory\); TMPDIR"):
        files.read(song)
