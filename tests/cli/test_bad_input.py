"""Whatever is wrong with an input or a model: one line that says so, exit code 1 or 2, nothing half-written."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from safetensors.numpy import save_file

from tfsep.audio import files

SOURCES = ("bass", "drums", "other", "vocals")
Command = Callable[..., subprocess.CompletedProcess[bytes]]
Separate = Callable[..., tuple[int, list[str], str]]


def noise(channels: int = 2, time: int = 4000) -> np.ndarray:
    return np.random.default_rng(channels).uniform(-0.3, 0.3, (time, channels))


def tree(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def errors(finished: subprocess.CompletedProcess[bytes]) -> list[str]:
    lines = finished.stderr.decode("utf-8").splitlines()
    assert "Traceback" not in finished.stderr.decode("utf-8")
    return [line for line in lines if line.startswith("error: ")]


def make_good(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Unusual but sound files: {name: (sample rate, channels, frames)}."""
    kinds = {
        "eight bit.wav": (22050, 2, 4000, "PCM_U8"),
        "twenty-four bit.wav": (44100, 2, 4000, "PCM_24"),
        "192 kHz.wav": (192000, 1, 9001, "PCM_16"),
        "8 kHz.wav": (8000, 1, 3001, "PCM_16"),
        "mono.flac": (44100, 1, 4000, "PCM_16"),
        "six channels.wav": (44100, 6, 4000, "PCM_16"),
        "one sample.wav": (44100, 1, 1, "PCM_16"),
        "Ünïcode – 音楽 'x' & $y.wav": (16000, 1, 4000, "PCM_16"),
    }
    for name, (sample_rate, channels, frames, subtype) in kinds.items():
        soundfile.write(folder / name, noise(channels, frames), sample_rate, subtype=subtype)
    soundfile.write(folder / "silence.wav", np.zeros((5000, 2)), 44100)
    return {name: kind[:3] for name, kind in kinds.items()} | {"silence.wav": (44100, 2, 5000)}


def make_bad(folder: Path) -> dict[str, str]:
    """Broken files: {name: what the error must say}."""
    (folder / "text.wav").write_text("this is not a sound\n" * 50)
    (folder / "empty.wav").write_bytes(b"")
    soundfile.write(folder / "whole.wav", noise(), 44100)
    (folder / "truncated.wav").write_bytes((folder / "whole.wav").read_bytes()[:3000])
    (folder / "whole.wav").unlink()
    soundfile.write(folder / "no samples.wav", np.zeros((0, 2)), 44100)
    for name, value in (("not a number.wav", np.nan), ("infinite.wav", np.inf)):
        waveform = noise()
        waveform[3000, 1] = value
        soundfile.write(folder / name, waveform, 44100, subtype="FLOAT")
    soundfile.write(folder / "nine channels.wav", noise(9), 44100)
    return {
        "text.wav": "not a sound file",
        "empty.wav": "empty file",
        "truncated.wav": "truncated file",
        "no samples.wav": "at least 1 sample, got 0",
        "not a number.wav": "must be finite",
        "infinite.wav": "must be finite",
        "nine channels.wav": "1..8, got 9",
        "missing.wav": "no such file",
    }


def test_every_input_gets_its_due(command: Command, tmp_path: Path) -> None:
    good, bad = make_good(tmp_path), make_bad(tmp_path)
    given = [name for pair in zip(bad, good, strict=False) for name in pair] + list(good)[len(bad) :]
    finished = command("separate", *given)
    assert finished.returncode == 1
    complaints = errors(finished)
    for name, rule in bad.items():
        (line,) = (line for line in complaints if name in line)
        assert rule in line
    assert len(complaints) == len(bad)
    written = finished.stdout.decode("utf-8").splitlines()
    assert len(written) == len(good) * len(SOURCES)
    for name, expected in good.items():
        folder = tmp_path / "separated" / "songs" / Path(name).stem
        assert tree(folder) == [f"{source}.wav" for source in SOURCES]
        stems = []
        for source in SOURCES:
            info = files.info(folder / f"{source}.wav")
            assert (info.sample_rate, info.channels, info.frames) == expected
            stems.append(files.read(info.path)[0])
        assert np.isfinite(stems).all()
        np.testing.assert_allclose(np.sum(stems, axis=0), files.read(tmp_path / name)[0], atol=1e-6)
        assert name != "silence.wav" or not np.any(stems)
    assert len(tree(tmp_path / "separated")) == 1 + len(good) * (1 + len(SOURCES))


def test_bad_inputs_alone_leave_nothing_and_need_no_model(command: Command, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.wav").write_text("no sound")
    finished = command("separate", "text.wav", "missing.wav", "folder", "--output", "out")
    assert finished.returncode == 1 and finished.stdout == b""
    complaints = errors(finished)
    assert len(complaints) == len(finished.stderr.splitlines()) == 3
    assert "folder: the folder holds no sound file" in "\n".join(complaints)
    assert not (tmp_path / "out").exists()


def test_an_output_folder_that_cannot_be_written(run: Separate, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", noise(), 44100)
    (tmp_path / "file").write_text("in the way")
    code, out, err = run("x.wav", "--output", "file/below")
    assert code == 1 and out == []
    (line,) = err.splitlines()
    assert line.startswith("error: ") and "file/below" in line and "cannot be written" in line
    assert tree(tmp_path) == ["file", "x.wav"]


def spoil(model: Path, fault: str) -> str:
    """Do something to a model folder; returns what the error must name."""
    (weights,) = model.rglob("*.safetensors")
    if fault == "missing":
        weights.unlink()
    elif fault == "foreign":
        save_file({"0000": np.ones((3, 3), np.float32)}, weights)
    elif fault == "no weights":
        weights.write_bytes(b"PK\x03\x04 a zip, or anything else")
    elif fault == "not a description":
        (model / "model.json").write_text(json.dumps(["drums", "bass"]))
        return "model.json"
    elif fault == "no folder":
        shutil.rmtree(model)
        return "model"
    return weights.name


@pytest.mark.parametrize("fault", ["missing", "foreign", "no weights", "not a description", "no folder"])
def test_a_model_that_is_not_sound(run: Separate, tiny_models: Path, tmp_path: Path, fault: str) -> None:
    soundfile.write(tmp_path / "x.wav", noise(1, 100), 8000)
    shutil.copytree(tiny_models / "songs", tmp_path / "model")
    named = spoil(tmp_path / "model", fault)
    before = tree(tmp_path)
    code, out, err = run("x.wav", "--model", "model")
    assert code == 2 and out == []
    (line,) = err.splitlines()
    assert line.startswith("error: ") and named in line
    assert tree(tmp_path) == before


def test_an_unknown_model_in_a_process_of_its_own(command: Command, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", noise(1, 100), 8000)
    finished = command("separate", "x.wav", "--model", "unknown")
    assert finished.returncode == 2 and finished.stdout == b""
    (line,) = finished.stderr.decode("utf-8").splitlines()
    assert line.startswith("error: no model 'unknown'") and line.endswith("songs, toy")
    assert tree(tmp_path) == ["x.wav"]
