"""Commands in trouble: inputs that cannot be read, full disks, closed streams, names that no terminal should see."""

from __future__ import annotations

import io
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tfsep.audio.suffixes import sound_files
from tfsep.cli import separate, terminal, tracks
from tfsep.errors import JobError

REPOSITORY = Path(__file__).resolve().parents[2]
Command = Callable[..., subprocess.CompletedProcess[bytes]]
Separate = Callable[..., tuple[int, list[str], str]]
ESCAPE = "\x1b[31mred\x1b[0m\x07"
STEMS = 4


def write(path: Path, time: int = 500) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full((time, 1), 0.1), 8000)
    return path


def trouble(*arguments: object, shell: str = "", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run bin/separate in a shell, with redirections; only calls that end before TensorFlow are cheap."""
    words = " ".join([sys.executable, str(REPOSITORY / "bin" / "separate"), *map(str, arguments)])
    return subprocess.run(
        ["/bin/sh", "-c", f"{words} {shell}"],
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
        capture_output=True,
        check=False,
        timeout=120,
    )


def lines(finished: subprocess.CompletedProcess[bytes]) -> list[str]:
    text = finished.stderr.decode("utf-8", "surrogateescape")
    assert "Traceback" not in text and "Exception ignored" not in text, text
    return text.splitlines()


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, str]:
    """Inputs that cannot be: {argument: what its line says}."""
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "gone.wav").symlink_to("nowhere.wav")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "self.wav").symlink_to("self.wav")
    (tmp_path / "links" / "dead.wav").symlink_to("nowhere.wav")
    return {
        "loop": "loop: it cannot be read: Too many levels of symbolic links",
        "gone.wav": "gone.wav: no such file",
        "n" * 300 + ".wav": ".wav: it cannot be read: File name too long",
        "links": "self.wav: Too many levels of symbolic links",
        "x.wav/below.wav": "x.wav/below.wav: it cannot be read: Not a directory",
        "": ": the folder holds no sound file",
    }


def test_one_bad_input_does_not_stop_the_others(run: Separate, tmp_path: Path, inputs: dict[str, str]) -> None:
    write(tmp_path / "x.wav")
    code, out, err = run(*[given for given in inputs if given], "x.wav", "--quiet")
    assert code == 1 and len(out) == STEMS
    complaints = err.splitlines()
    for given, says in inputs.items():
        assert not given or any(says in line for line in complaints), (says, err)
    assert any("dead.wav: No such file or directory" in line for line in complaints)
    assert len(complaints) == len(inputs) and all(line.startswith("error: ") for line in complaints)


def test_an_unreadable_folder(run: Separate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "x.wav")
    write(tmp_path / "locked" / "y.wav")

    def walk(folder: object, onerror: Callable[[OSError], None]) -> list[object]:
        onerror(PermissionError(13, "Permission denied", str(folder)))
        return []

    monkeypatch.setattr("tfsep.audio.suffixes.os.walk", walk)
    code, out, err = run("locked", "x.wav", "--quiet")
    assert code == 1 and len(out) == STEMS
    assert err == "error: the folder locked cannot be read: Permission denied\n"


def test_a_rate_that_the_format_cannot_store_is_refused_first(run: Separate, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros((500, 2)), 96000)
    soundfile.write(tmp_path / "b.wav", np.zeros((500, 6)), 44100)
    soundfile.write(tmp_path / "c.wav", np.zeros((500, 2)), 384000)
    code, out, err = run("a.wav", "b.wav", "--format=mp3")
    assert code == 1 and out == [] and len(err.splitlines()) == 2
    assert "a.wav: --format mp3 cannot store the stems: sample_rate of mp3 must be one of 8000" in err
    assert "b.wav: --format mp3 cannot store the stems: channels of mp3 must lie in 1..2, got 6" in err
    code, out, err = run("c.wav", "--format=ogg")
    assert code == 1 and "sample_rate of ogg must be at most 200000 Hz, got 384000" in err


def test_escape_sequences_reach_no_terminal(run: Separate, tmp_path: Path) -> None:
    (tmp_path / f"{ESCAPE}.wav").write_text("no sound")
    write(tmp_path / f"{ESCAPE}2.wav")
    code, out, err = run(".", f"{ESCAPE}3.wav", "--verbose", f"--model={ESCAPE}")
    assert code == 2 and "\x1b" not in err
    code, out, err = run(".", f"{ESCAPE}3.wav", "--verbose")
    assert code == 1 and len(out) == STEMS
    assert "\x1b" not in err + "".join(out) and "\x07" not in err
    assert r"\x1b[31mred\x1b[0m\x07.wav" in err and r"\x1b[31mred\x1b[0m\x073.wav: no such file" in err


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a\nb\tc", "a b c"), ("\x9b31m", r"\x9b31m"), ("\u202egnp.exe", r"\u202egnp.exe"), ("caf\udce9", r"caf\udce9")],
)
def test_a_message_is_one_plain_line(text: str, shown: str) -> None:
    assert terminal.plain(text) == shown
    assert terminal.plain("Ünïcode – 音楽 😀") == "Ünïcode – 音楽 😀"


def test_a_name_that_is_no_text_is_printed(command: Command, tmp_path: Path) -> None:
    write(tmp_path / "x.wav")
    output = os.fsdecode(b"caf\xe9")
    finished = command("separate", "x.wav", "--quiet", "--source=bass", "--output", output)
    assert finished.returncode == 0 and finished.stdout == b"caf\xe9/songs/x/bass.wav\n", finished.stderr


class TestStreams:
    """What the caller may do to the standard streams."""

    def test_a_closed_standard_input(self) -> None:
        finished = trouble("-", shell="<&-")
        assert finished.returncode == 1
        assert lines(finished) == ["error: standard input: a sound file is expected, got 0 bytes"]

    def test_no_models_to_list(self, tmp_path: Path) -> None:
        finished = trouble("--list_models", TFSEP_MODELS=str(tmp_path / "nowhere"))
        assert finished.returncode == 1 and finished.stdout == b""
        assert lines(finished) == [f"error: TFSEP_MODELS must name a folder of models, got '{tmp_path}/nowhere'"]
        finished = trouble("--list_models", TFSEP_MODELS=str(tmp_path))
        assert finished.returncode == 1 and finished.stdout == b""
        assert lines(finished) == [f"error: there is no model in {tmp_path}, the folder of models (TFSEP_MODELS)"]

    def test_one_model_that_cannot_be_listed(self, tmp_path: Path) -> None:
        shutil.copytree(REPOSITORY / "models" / "toy", tmp_path / "toy", ignore=shutil.ignore_patterns("*.safetensors"))
        (tmp_path / "broken").mkdir()
        (tmp_path / "broken" / "model.json").write_text("{}")
        finished = trouble("--list_models", TFSEP_MODELS=str(tmp_path))
        assert finished.returncode == 1
        assert finished.stdout.decode() == "toy: sine, sawtooth, square, triangle; 16000 Hz\n"
        (line,) = lines(finished)
        assert line.startswith(f"error: {tmp_path}/broken/model.json: not a model description")

    @pytest.mark.parametrize("arguments", ["--list_models", "--help"])
    def test_a_full_standard_output(self, arguments: str) -> None:
        finished = trouble(arguments, shell="> /dev/full")
        assert finished.returncode == 1
        assert lines(finished) == ["error: standard output: No space left on device"]

    def test_a_closed_standard_output(self) -> None:
        finished = trouble("--list_models", shell=">&-")
        assert finished.returncode == 1
        assert lines(finished) == ["error: standard output: Bad file descriptor"]

    def test_a_closed_standard_error(self, tmp_path: Path) -> None:
        finished = trouble("missing.wav", shell="2>&-")
        assert finished.returncode == 1 and finished.stdout == b""

    def test_all_closed(self) -> None:
        assert trouble("-", shell="<&- >&- 2>&-").returncode == 1

    def test_a_standard_input_that_breaks(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        class Broken(io.RawIOBase):
            def read(self, size: int = -1) -> bytes:
                raise OSError(5, "Input/output error")

        monkeypatch.setattr(sys, "stdin", type("Text", (), {"buffer": Broken()}))
        (found,) = tracks.collect(["-"], tmp_path, 1000)
        assert isinstance(found, JobError) and "Input/output error" in str(found)
        assert list(tmp_path.iterdir()) == []

    def test_a_standard_input_without_end(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdin", type("Text", (), {"buffer": open("/dev/zero", "rb")}))
        monkeypatch.setattr(separate, "_SPARE_BYTES", 1 << 20)
        monkeypatch.chdir(tmp_path)
        assert separate.main(["-", "--max_duration=0.1", "--quiet"]) == 1

    def test_a_full_disk_while_the_standard_input_is_kept(self, tmp_path: Path) -> None:
        code = (
            "import resource, sys\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
            "from tfsep.cli import separate\n"
            "sys.exit(separate.main(['-', '--quiet']))\n"
        )
        finished = subprocess.run(
            [sys.executable, "-c", code],
            input=bytes(3 << 20),
            capture_output=True,
            env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(REPOSITORY)},
            check=False,
        )
        assert finished.returncode == 1
        assert lines(finished) == [f"error: standard input: it cannot be kept in {tmp_path}: File too large"]
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", ["wav", "flac", "ogg", "mp3"])
def test_a_full_disk_says_so(tmp_path: Path, format: str) -> None:
    """A limit on the size of files stands for a disk: the same calls fail, at any byte."""
    code = f"""
import resource, sys
import numpy as np
from tfsep.audio.files import Writer
from tfsep.errors import JobError
for limit in (10, 5000, 40000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        with Writer("a.{format}", 44100, 2, format="{format}") as writer:
            for seed in range(5):
                writer.write(np.random.default_rng(seed).uniform(-0.5, 0.5, (2, 44100)))
    except JobError as error:
        print(error)
"""
    assert resource.RLIMIT_FSIZE is not None
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", code]
    finished = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert finished.stdout.splitlines() == [f"cannot write a.{format}: File too large"] * 3
    assert finished.stderr == "" and list(tmp_path.iterdir()) == []


def test_files_of_a_folder_are_found_by_one_rule(tmp_path: Path) -> None:
    for name in ("a.WAV", "b.aiff", ".hidden.wav", "._c.wav", "notes.txt", "d.m4a", "sub/e.Flac", ".git/f.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.wav").mkdir()
    assert [path.name for path in sound_files(tmp_path)] == ["a.WAV", "b.aiff", "d.m4a"]
    assert [path.name for path in sound_files(tmp_path, deep=True)] == ["a.WAV", "b.aiff", "d.m4a", "e.Flac"]
    with pytest.raises(JobError, match="the folder .*missing cannot be read: No such file or directory"):
        sound_files(tmp_path / "missing")
