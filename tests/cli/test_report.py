"""bin/separate --report: the page of a file that a model has separated."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tfsep.audio import files
from tfsep.metrics import si_sdr

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = ("drums", "bass", "other", "vocals")
Separate = Callable[..., tuple[int, list[str], str]]


def write(path: Path, waveform: np.ndarray, sample_rate: int = 22050) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, waveform.T, sample_rate, subtype="FLOAT")
    return path


def song_with_truth(folder: Path, time: int = 22050) -> np.ndarray:
    """Write ``x.wav`` and ``truth/<source>.wav``; the mixture (2, time)."""
    truth = np.random.default_rng(0).uniform(-0.1, 0.1, (4, 2, time)).astype(np.float32)
    for source, wave in zip(SOURCES, truth, strict=True):
        write(folder / "truth" / f"{source}.wav", wave)
    mixture = truth.sum(axis=0)
    write(folder / "x.wav", mixture)
    return mixture


def words(page: Path) -> str:
    text = re.sub(r"<(script|style)\b.*?</\1>", " ", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())


def test_the_page_of_a_separated_file(run: Separate, tmp_path: Path) -> None:
    mixture = song_with_truth(tmp_path)
    options = ("--report", "--num_samples=3", "--seed=5", "--references=truth", "--start=0.2", "--duration=0.5")
    code, out, err = run("x.wav", *options)
    assert code == 0 and out[-1] == "separated/songs/x/report.html" and len(out) == 17
    text = words(Path(out[-1]))
    part = slice(4410, 4410 + 11025)
    for source in SOURCES:
        estimate = files.read(f"separated/songs/x/{source}.wav")[0]
        truth = files.read(f"truth/{source}.wav")[0][:, part]
        score = float(si_sdr(estimate, truth).mean())
        gain = score - float(si_sdr(mixture[:, part], truth).mean())
        shown = f"{score:.1f} dB {gain:.1f} dB".replace("-", "−")
        assert re.search(rf"\b{source} −[\d.]+ dB [\d.]+ −?[\d.]+ dB {shown}", text), (source, shown)
    assert "0.5 s, 22050 Hz, 2 channels; 4 stems by tfsep, model songs" in text
    assert "Model songs: drums, bass, other, vocals; 8000 Hz Posterior amortised Samples 3 Seed 5" in text
    assert "Part from 0.2 s, 0.5 s" in text and "Stems wav, 32f, clip mode rescale" in text
    assert "Command separate --num_samples=3 --seed=5 --start=0.2 --duration=0.5 Versions tfsep 0." in text
    assert "Uncertainty" in text


def test_a_page_shows_no_path_and_no_host(run: Separate, tiny_models: Path, tmp_path: Path) -> None:
    song_with_truth(tmp_path)
    model = tiny_models / "songs"
    code, out, _ = run(tmp_path / "x.wav", "--model", model, "--output", tmp_path / "o", "--report")
    assert code == 0
    page = Path(out[-1]).read_text(encoding="utf-8")
    assert "Command</dt><dd>separate --model=songs</dd>" in page
    assert str(tmp_path) not in page and str(tiny_models) not in page
    assert os.path.expanduser("~") not in words(Path(out[-1]))
    assert re.search(rf"\b{re.escape(socket.gethostname())}\b", words(Path(out[-1]))) is None


def test_a_page_is_not_overwritten_unasked(run: Separate, tmp_path: Path) -> None:
    song_with_truth(tmp_path)
    (tmp_path / "separated" / "songs" / "x").mkdir(parents=True)
    (tmp_path / "separated" / "songs" / "x" / "report.html").write_text("of another call")
    code, out, err = run("x.wav", "--report")
    assert code == 1 and out == [] and "report.html is there already; --overwrite replaces it" in err
    assert [path.name for path in (tmp_path / "separated" / "songs" / "x").iterdir()] == ["report.html"]
    code, out, _ = run("x.wav", "--report", "--overwrite")
    assert code == 0 and Path(out[-1]).read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.slow
def test_lossy_and_scaled_stems(run: Separate, tmp_path: Path) -> None:
    loud = 4.0 * np.sin(2 * np.pi * np.array([[220.0], [330.0]]) * np.arange(22050) / 22050)
    write(tmp_path / "x.wav", loud)
    residuals = {}
    for kind in ("flac", "mp3", "ogg"):
        code, out, _ = run("x.wav", "--report", "--format", kind, "--output", kind)
        text = words(Path(out[-1]))
        assert code == 0 and "stems and mixture were scaled by 0." in text
        found = re.search(r"Mixture minus stems leaves −([\d.]+) dB", text)
        assert found
        residuals[kind] = float(found[1])
    assert residuals["flac"] > 90.0
    assert 90.0 > residuals["mp3"] > 20.0 and 90.0 > residuals["ogg"] > 20.0


@pytest.mark.slow
def test_references_by_track_and_what_is_wrong_with_them(run: Separate, tmp_path: Path) -> None:
    song_with_truth(tmp_path)
    (tmp_path / "all" / "x").mkdir(parents=True)
    (tmp_path / "all" / "drums.wav").write_text("that of another track")
    (tmp_path / "truth" / "drums.wav").rename(tmp_path / "all" / "x" / "drums.wav")
    code, out, _ = run("x.wav", "--report", "--references=all")
    assert code == 0 and "no reference" in words(Path(out[-1]))
    code, out, err = run("x.wav", "--report", "--references=separated", "--output=again")
    assert code == 1 and out == []
    assert "--references needs a sound file for one of drums, bass, other, vocals, got none in separated" in err
    write(tmp_path / "truth" / "bass.wav", np.zeros((1, 7)))
    code, out, err = run("x.wav", "--report", "--references=truth", "--output=again")
    assert code == 1 and "a reference must have the number of samples of its mixture, 22050, got 7" in err
    assert not (tmp_path / "again").exists()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_song(tiny_models: Path, tmp_path: Path, peak_memory_script: str) -> None:
    kilobytes = []
    for seconds in (30, 600):
        path = tmp_path / f"{seconds}.wav"
        with soundfile.SoundFile(path, "w", 44100, 2, "PCM_16") as file:
            for second in range(seconds):
                file.write(np.random.default_rng(second).uniform(-0.2, 0.2, (44100, 2)))
        finished = subprocess.run(
            [
                sys.executable,
                "-c",
                peak_memory_script,
                path,
                "-q",
                "--report",
                "--report_seconds=20",
                f"--output={tmp_path}/o",
            ],
            env={**os.environ, "TFSEP_MODELS": str(tiny_models), "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            check=True,
        )
        kilobytes.append(int(finished.stderr.splitlines()[-1]))
        assert "This page holds the first 20.0 s of" in words(Path(finished.stdout.splitlines()[-1]))
    assert kilobytes[1] - kilobytes[0] < 100_000
