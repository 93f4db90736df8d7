"""bin/separate: what it writes, where, and what it says."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tfsep.audio import files
from tfsep.cli import tracks
from tfsep.errors import JobError

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = ["drums", "bass", "other", "vocals"]
Command = Callable[..., subprocess.CompletedProcess[bytes]]
Separate = Callable[..., tuple[int, list[str], str]]


def song(channels: int = 2, time: int = 12000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.2, 0.2, (channels, time)).astype(np.float32)


def write(path: Path, waveform: np.ndarray, sample_rate: int = 22050, subtype: str = "FLOAT") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, waveform.T, sample_rate, subtype=subtype)
    return path


def listing(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_stems_have_everything_of_the_file_and_sum_to_it(run: Separate, tmp_path: Path) -> None:
    waveform = song()
    write(tmp_path / "my song.wav", waveform)
    code, out, err = run("my song.wav")
    assert code == 0
    assert out == [f"separated/songs/my song/{source}.wav" for source in SOURCES]
    stems = []
    for path in out:
        info = files.info(path)
        assert (info.sample_rate, info.channels, info.frames, info.subtype) == (22050, 2, 12000, "FLOAT")
        stems.append(files.read(path)[0].astype(np.float64))
    error = np.sum((waveform - sum(stems)) ** 2) / np.sum(waveform.astype(np.float64) ** 2)
    assert 10 * np.log10(error + 1e-30) < -120
    assert "22050 Hz, 2 channels; mixture minus stems leaves -1" in err
    assert len(listing(tmp_path)) == 5


def test_several_inputs_and_names_that_clash(run: Separate, tmp_path: Path) -> None:
    write(tmp_path / "a" / "Song.wav", song(1, 500))
    write(tmp_path / "a" / "song.flac", song(1, 600), subtype="PCM_16")
    write(tmp_path / "b" / "song.wav", song(1, 700))
    write(tmp_path / "c.wav", song(1, 800))
    (tmp_path / "a" / "notes.txt").write_text("no sound")
    code, out, _ = run("a", "b/song.wav", "--input", "c.wav", "--input=a/Song.wav", "--output", "out", "--quiet")
    assert code == 0
    assert sorted({Path(path).parent.name for path in out}) == ["Song", "c", "song_2", "song_3"]
    lengths = [files.info(f"out/songs/{name}/bass.wav").frames for name in ("Song", "song_2", "song_3", "c")]
    assert lengths == [500, 600, 700, 800]


def test_two_stems_and_one(run: Separate, tmp_path: Path) -> None:
    waveform = song(1)
    write(tmp_path / "x.wav", waveform)
    code, out, _ = run("x.wav", "--two-stems=vocals", "--output=two")
    assert code == 0 and out == ["two/songs/x/vocals.wav", "two/songs/x/no_vocals.wav"]
    np.testing.assert_allclose(files.read(out[0])[0] + files.read(out[1])[0], waveform, atol=1e-6)
    code, out, _ = run("x.wav", "--source", "bass", "--output=one")
    assert code == 0 and out == ["one/songs/x/bass.wav"]
    code, out, err = run("x.wav", "--two_stems", "flute")
    assert code == 2 and "one of drums, bass, other, vocals, got 'flute'" in err


def test_without_a_source_that_is_not_there(run: Separate, tmp_path: Path) -> None:
    waveform = song(1)
    write(tmp_path / "x.wav", waveform)
    code, out, _ = run("x.wav", "--without=bass", "--without=vocals", "--num_samples=2")
    assert code == 0
    assert [Path(path).name for path in out if "sample" not in path] == ["drums.wav", "other.wav"]
    drums, other = (files.read(path)[0] for path in out if "sample" not in path)
    np.testing.assert_allclose(drums + other, waveform, atol=1e-6)
    code, out, err = run("x.wav", "--without=flute", "--output=flutes")
    assert code == 2 and "left out (drums, bass, other, vocals), got 'flute'" in err
    assert not (tmp_path / "flutes").exists()


def test_samples_part_and_format(run: Separate, tmp_path: Path) -> None:
    write(tmp_path / "x.wav", song(2, 44100), 44100)
    code, out, _ = run(
        "x.wav", "--num_samples=2", "--source=bass", "--format=flac", "--start=0.25", "--duration", 0.5, "--bits=16"
    )
    assert code == 0
    assert out == [f"separated/songs/x/{name}.flac" for name in ("bass", "bass_sample1", "bass_sample2")]
    mean, first, second = (files.read(path)[0] for path in out)
    assert mean.shape == (2, 22050) and files.info(out[0]).subtype == "PCM_16"
    np.testing.assert_allclose(mean, (first + second) / 2, atol=1e-4)
    assert np.abs(first - second).max() > 1e-3


def test_seed_and_overwrite_guard(run: Separate, tmp_path: Path) -> None:
    write(tmp_path / "x.wav", song(1))
    options = ("x.wav", "--num_samples=2", "--source=bass")
    run(*options, "--seed=1")
    first = files.read("separated/songs/x/bass.wav")[0]
    code, _, err = run(*options, "--seed=2")
    assert code == 1 and "is there already; --overwrite replaces it" in err
    np.testing.assert_array_equal(files.read("separated/songs/x/bass.wav")[0], first)
    assert run(*options, "--seed=2", "--overwrite")[0] == 0
    assert np.abs(files.read("separated/songs/x/bass.wav")[0] - first).max() > 1e-4
    assert run(*options, "--seed=1", "--overwrite")[0] == 0
    np.testing.assert_array_equal(files.read("separated/songs/x/bass.wav")[0], first)


def test_clipping_is_reported(run: Separate, tmp_path: Path) -> None:
    write(tmp_path / "loud.wav", 20 * song(1))
    code, out, err = run("loud.wav", "--format=wav", "--bits=16")
    assert code == 0 and "of full scale; all stems were scaled by" in err
    assert max(np.abs(files.read(path)[0]).max() for path in out) <= 1.0
    code, _, err = run("loud.wav", "--bits=16", "--clip_mode=clamp", "--overwrite")
    assert code == 0 and "of full scale; samples beyond full scale were clipped" in err
    code, _, err = run("loud.wav", "--bits=16", "--clip_mode=none", "--overwrite")
    assert code == 0 and "of full scale; samples beyond full scale were written as they are" in err
    code, _, err = run("loud.wav", "--overwrite")
    assert code == 0 and "warning" not in err


def test_file_names(run: Separate, tmp_path: Path) -> None:
    for name in ("x", "y"):
        write(tmp_path / f"{name}.wav", song(1, 500))
    code, out, _ = run("x.wav", "y.wav", "--filename={track} by {model}/{stem}", "--output=a")
    assert code == 0 and out[:2] == ["a/x by songs/drums.wav", "a/x by songs/bass.wav"] and len(out) == 8
    code, out, _ = run("x.wav", "y.wav", "--filename={stem}/{track}", "--output=a", "--source=bass")
    assert code == 0 and out == ["a/bass/x.wav", "a/bass/y.wav"]
    assert run("x.wav", "--filename={stem}/{track}", "--output=a", "--source=bass")[0] == 1, "it is there already"
    code, out, _ = run("x.wav", "--filename={stem}", "--output=b", "--two_stems=bass", "--report")
    assert code == 0 and out == ["b/bass.wav", "b/no_bass.wav", "b/report.html"]
    assert listing(tmp_path / "b") == ["bass.wav", "no_bass.wav", "report.html"]
    code, out, err = run("x.wav", "y.wav", "--filename={stem}", "--output=c")
    assert (code, out) == (2, []) and "--filename needs {track} where there is more than one, got '{stem}'" in err
    assert not (tmp_path / "c").exists()


def test_segments_of_another_length(run: Separate, tmp_path: Path) -> None:
    waveform = song(2, 22050)
    write(tmp_path / "x.wav", waveform)
    stems = []
    for seconds in (0.256, 0.512):
        code, out, _ = run("x.wav", f"--segment={seconds}", "--output", seconds, "--report")
        assert code == 0 and f"{seconds} s, overlap 25%" in Path(out[-1]).read_text(encoding="utf-8")
        stems.append(np.stack([files.read(path)[0] for path in out[:-1]]))
        np.testing.assert_allclose(stems[-1].sum(axis=0), waveform, atol=1e-6)
    assert np.abs(stems[0] - stems[1]).max() > 1e-4
    code, _, err = run("x.wav", "--segment=0.001")
    assert code == 2 and "segment must lie in 0.016..60 s, got 0.001" in err


def test_a_way_out_of_the_output_folder_is_refused(run: Separate, tmp_path: Path) -> None:
    write(tmp_path / "x.wav", song(1, 100))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "separated").mkdir()
    (tmp_path / "separated" / "songs").symlink_to(tmp_path / "elsewhere")
    code, out, err = run("x.wav")
    assert code == 1 and out == [] and "leads out of the output folder separated" in err
    assert listing(tmp_path / "elsewhere") == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "at least one input"),
        (["-", "-"], "read once only"),
        (["x.wav", "--num_samples=0"], "--num_samples must be at least 1 and below 2^31, got 0"),
        (["x.wav", "--seed=-1"], "--seed must be at least 0 and below 2^31, got -1"),
        (["x.wav", "--start=-1"], "--start must be at least 0.0"),
        (["x.wav", "--start=nan"], "--start must be at least 0.0"),
        (["x.wav", "--duration=0"], "--duration must be above 0 seconds and below 2^31, got 0.0"),
        (["x.wav", "--duration=inf"], "--duration must be above 0 seconds and below 2^31, got inf"),
        (["x.wav", "--max_duration=inf"], "--max_duration must be above 0 seconds and below 2^31, got inf"),
        (["x.wav", "--start=inf"], "--start must be at least 0.0 and below 2^31, got inf"),
        (["x.wav", "--segment=nan"], "--segment must be above 0 seconds and below 2^31, got nan"),
        (["x.wav", "--filename={track}"], "--filename needs {stem}, or every stem would be the same file"),
        (["x.wav", "--filename={stem}-{artist}"], "plain text with the tokens {model}, {track}, {stem}, got"),
        (["x.wav", "--filename=../{stem}"], "--filename must name files below the output folder, got '../{stem}'"),
        (["x.wav", "--filename=/{stem}"], "--filename must name files below the output folder, got '/{stem}'"),
        (["x.wav", "--report", "--output=-", "--source=bass"], "--report writes a page beside the stems"),
        (["x.wav", "--references=."], "--references is for the metrics of --report, which is not given"),
        (["x.wav", "--report", "--references=no"], "--references must be a folder, got 'no'"),
        (["x.wav", "--report", "--report_seconds=601"], "--report_seconds must be above 0 and at most 600, got 601"),
        (["x.wav", "--format=flac", "--bits=32f"], "--bits must be one of 24, 16 for flac, got 32f"),
        (["x.wav", "--format=mp3", "--bits=16"], "--bits has no meaning for mp3, got 16"),
        (["x.wav", "--format=aiff"], "invalid choice"),
        (["x.wav", "--two_stems=a", "--source=b"], "exclude each other"),
        (["x.wav", "--output", "-"], "writes one stem"),
        (["x.wav", "y.wav", "--output=-", "--source=bass"], "takes a single input"),
        (["x.wav", "--priors=drums"], "--priors must be SOURCE=DIR,..., got 'drums'"),
        (["x.wav", "--memory=-1"], "memory must be above 0 GB, got -1"),
        (["x.wav", "--memory=nan"], "memory must be above 0 GB, got nan"),
        (["x.wav", "--overlap=0.99"], "overlap must lie in 0..0.9 of a segment, got 0.99"),
        (["x.wav", "--posterior=guess"], "no posterior of kind 'guess'"),
        (["x.wav", "--loud"], "unrecognized arguments: --loud"),
    ],
)
def test_wrong_arguments_exit_with_2(run: Separate, tmp_path: Path, arguments: list[str], complaint: str) -> None:
    write(tmp_path / "x.wav", song(1, 100))
    code, out, err = run(*arguments)
    assert (code, out) == (2, [])
    assert err.startswith("error: ") and complaint in err and len(err.splitlines()) == 1
    assert listing(tmp_path) == ["x.wav"]


def test_too_long_or_started_too_late(run: Separate, tmp_path: Path) -> None:
    write(tmp_path / "x.wav", song(1, 22050))
    code, _, err = run("x.wav", "--max_duration=0.5")
    assert code == 1 and err == "error: x.wav: --max_duration allows 0.5 s at most, got 1.0 s\n"
    assert run("x.wav", "--max_duration=0.5", "--duration=0.5")[0] == 0
    code, _, err = run("x.wav", "--start=1", "--overwrite")
    assert code == 1 and "start must lie before the end at 1.000 s, got 1 s: x.wav" in err


def test_pipes(command: Command) -> None:
    waveform = song(2, 3000)
    sound = io.BytesIO()
    soundfile.write(sound, waveform.T, 22050, format="FLAC", subtype="PCM_16")
    finished = command("separate", "-", "--output", "-", "--source=drums", stdin=sound.getvalue())
    assert finished.returncode == 0, finished.stderr
    stem, sample_rate = soundfile.read(io.BytesIO(finished.stdout), always_2d=True)
    assert stem.shape == (3000, 2) and sample_rate == 22050
    assert b"stdin: 0.1 s" in finished.stderr
    assert len(finished.stderr.decode().splitlines()) == 1


def test_nothing_on_standard_input(command: Command) -> None:
    finished = command("separate", "-")
    assert finished.returncode == 1
    assert finished.stderr.decode() == "error: standard input: a sound file is expected, got 0 bytes\n"


@pytest.mark.parametrize(
    "model", ["songs", *(pytest.param(name, marks=pytest.mark.slow) for name in ("toy", "toy-free"))]
)
def test_bundled_models(run: Separate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: str) -> None:
    if not (REPOSITORY / "models" / model / "model.json").is_file():
        pytest.skip(f"this clone has no models/{model}")
    monkeypatch.delenv("TFSEP_MODELS")
    waveform = song(2, 44100)
    write(tmp_path / "x.wav", waveform, 44100)
    code, out, err = run("x.wav", "--model", model)
    assert code == 0 and len(out) == 4 and "warning" not in err
    np.testing.assert_allclose(sum(files.read(path)[0] for path in out), waveform, atol=1e-6)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_song(tiny_models: Path, tmp_path: Path, peak_memory_script: str) -> None:
    kilobytes = []
    for seconds in (30, 600):
        path = tmp_path / f"{seconds}.wav"
        with soundfile.SoundFile(path, "w", 44100, 2, "PCM_16") as file:
            for second in range(seconds):
                file.write(song(2, 44100, second).T)
        finished = subprocess.run(
            [
                sys.executable,
                "-c",
                peak_memory_script,
                path,
                "--quiet",
                "--two_stems=bass",
                "--output",
                tmp_path / "out",
            ],
            env={**os.environ, "TFSEP_MODELS": str(tiny_models), "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            check=True,
        )
        kilobytes.append(int(finished.stderr.splitlines()[-1]))
        assert files.info(finished.stdout.splitlines()[0]).frames == seconds * 44100
    assert kilobytes[1] - kilobytes[0] < 100_000


def test_draws_beyond_the_memory_budget_are_refused(run: Separate, tmp_path: Path) -> None:
    write(tmp_path / "x.wav", song(1, 8000), 8000)
    code, out, err = run("x.wav", "--num_samples=100000000", "--memory=0.02")
    assert (code, out) == (2, []) and not (tmp_path / "separated").exists()
    found = re.fullmatch(
        r"error: num_samples must be at most (\d+) for 'songs', as the draws of one segment must fit 8 times the "
        r"memory budget of 0.02 GB, got 100000000\n",
        err,
    )
    assert found is not None and int(found[1]) >= 2
    assert run("x.wav", f"--num_samples={int(found[1]) + 1}", "--memory=0.02")[0] == 2


def test_models_and_environment(run: Separate) -> None:
    code, out, _ = run("--list_models")
    assert code == 0
    assert out == [
        "songs: drums, bass, other, vocals; 8000 Hz",
        "toy: sine, sawtooth, square, triangle; 16000 Hz",
    ]
    code, out, _ = run("--env-info")
    assert code == 0
    assert {"tfsep", "python", "tensorflow", "devices"} <= {line.partition(": ")[0] for line in out}


def test_names_of_tracks(tmp_path: Path) -> None:
    strange = os.fsdecode(b"caf\xe9.wav")
    (tmp_path / strange).write_bytes(b"")
    (found,) = tracks.collect([str(tmp_path / strange)], tmp_path, 1000)
    assert isinstance(found, tracks.Track) and found.name == "caf_"
    (empty,) = tracks.collect([str(tmp_path / "nothing")], tmp_path, 1000)
    assert isinstance(empty, JobError)
