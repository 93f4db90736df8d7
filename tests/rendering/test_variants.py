"""Songs at another pitch and tempo: what a tone becomes, and a folder that stems.py reads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tfsep.audio import files
from tfsep.cli import render as command
from tfsep.data.stems import StemsData
from tfsep.rendering import variants

RATE = 22050


def tone(frequency: float, seconds: float = 2.0) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return np.tile(0.3 * np.sin(2.0 * np.pi * frequency * time), (2, 1)).astype(np.float32)


def peak(sound: np.ndarray) -> float:
    middle = sound[0, len(sound[0]) // 4 : 3 * len(sound[0]) // 4]
    return float(np.argmax(np.abs(np.fft.rfft(middle * np.hanning(len(middle)), 8 * RATE))) / 8.0)


def write(path: Path, sound: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.Writer(path, RATE, len(sound)) as writer:
        writer.write(sound)


@pytest.mark.parametrize(("semitones", "faster"), [(0.0, 1.0), (3.0, 1.0), (0.0, 1.25), (-2.0, 0.8)])
def test_pitch_and_tempo_change_by_themselves(semitones: float, faster: float) -> None:
    found = variants.varied(tone(440.0), semitones, faster)
    assert found.shape == (2, round(2 * RATE / faster)) and found.dtype == np.float32
    assert peak(found) == pytest.approx(440.0 * 2.0 ** (semitones / 12.0), rel=0.004)
    assert np.abs(found[0, RATE // 2 : RATE]).max() == pytest.approx(0.3, rel=0.1)


def test_silence_stays_silent() -> None:
    assert not variants.varied(np.zeros((2, 1000), np.float32), 2.0, 1.1).any()


def test_a_folder_of_stems_is_varied(tmp_path: Path) -> None:
    for track, frequency in (("a", 300.0), ("b", 600.0)):
        write(tmp_path / "songs" / "train" / track / "bass.wav", tone(frequency))
        write(tmp_path / "songs" / "train" / track / "drums.flac", tone(1000.0)[:1])
        write(tmp_path / "songs" / "train" / track / "mixture.wav", tone(500.0))
    argv = [f"--stems={tmp_path / 'songs'}", f"--output={tmp_path / 'out'}", "--songs=4", "--seconds=1.2", "--seed=3"]
    argv += ["--sample_rate=22050", "--channels=1", "--jobs=2", "--pitch=4", "--tempo=1.3"]
    assert command.main(argv) == 0
    folders = sorted((tmp_path / "out" / "train").iterdir())
    assert [folder.name for folder in folders] == ["a 3-00000", "a 3-00002", "b 3-00001", "b 3-00003"]
    shifts = set()
    for folder in folders:
        about = json.loads((folder / "song.json").read_text())
        bass, drums = (files.read(folder / f"{name}.flac")[0] for name in ("bass", "drums"))
        assert bass.shape == drums.shape == (1, round(1.2 * RATE))
        own = {"a": 300.0, "b": 600.0}[Path(about["track"]).name]
        assert peak(bass) == pytest.approx(own * 2.0 ** (about["semitones"] / 12.0), rel=0.006)
        assert peak(drums) == pytest.approx(1000.0, rel=0.004)
        assert abs(about["semitones"]) <= 4.0 and 1 / 1.3 <= about["faster"] <= 1.3
        assert sorted(path.name for path in folder.iterdir()) == ["bass.flac", "drums.flac", "song.json"]
        shifts.add(about["semitones"])
    assert len(shifts) == 4
    before = {folder: (folder / "bass.flac").stat().st_mtime_ns for folder in folders}
    assert command.main(argv) == 0
    assert before == {folder: (folder / "bass.flac").stat().st_mtime_ns for folder in folders}
    data = StemsData([str(tmp_path / "out")], sources=("drums", "bass"), sample_rate=RATE)
    assert data.draw("bass", 2, 1000, (0, 0)).shape == (2, 1000)


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (["--pitch=30"], "--pitch must lie in 0..24 and --tempo in 1..4, got 30 and 1.1"),
        (["--tempo=0.9"], "got 2 and 0.9"),
        (["--soundfont=x.sf2"], "--stems varies songs that are rendered already and takes no --soundfont"),
        (["--midi=x", "--sources=a,b,c,d"], "takes no --midi, --sources"),
        ([], "has no track folders"),
    ],
)
def test_what_cannot_be_varied_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], rule: str
) -> None:
    assert command.main([f"--stems={tmp_path}", f"--output={tmp_path / 'out'}", *arguments]) == 2
    assert rule in capsys.readouterr().err


def test_stems_of_different_lengths_stay_together_and_a_track_without_any_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "songs" / "train" / "a" / "bass.wav", tone(300.0))
    write(tmp_path / "songs" / "train" / "a" / "vocals.wav", tone(700.0, 0.1))
    write(tmp_path / "songs" / "train" / "b" / "mixture.wav", tone(500.0))
    argv = [f"--stems={tmp_path / 'songs'}", f"--output={tmp_path / 'out'}", "--songs=4", "--seconds=1"]
    assert command.main([*argv, "--sample_rate=22050", "--jobs=1"]) == 1
    assert "/b has no stems" in capsys.readouterr().err
    for folder in (tmp_path / "out" / "train").iterdir():
        assert {files.info(path).frames for path in folder.glob("*.flac")} == {RATE}
