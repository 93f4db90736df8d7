"""Drum kits of recorded strokes: which file is which drum, and where strokes fall."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tfsep.audio import files
from tfsep.cli import render as command
from tfsep.errors import InputError
from tfsep.rendering import drum_kits, render
from tfsep.rendering.notes import Note, Part
from tfsep.rendering.render import RenderSettings

RATE = 22050
LEVELS = {"Kick-1.wav": 0.5, "SNARE_hard.flac": -0.25, "hh_closed.wav": 0.1, "HiHatOpen-2.wav": -0.1}


def write(folder: Path, name: str, level: float = 0.2, seconds: float = 0.05) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with files.Writer(folder / name, RATE, 1) as writer:
        writer.write(np.full((1, round(seconds * RATE)), level, np.float32))


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    for name, level in LEVELS.items():
        write(tmp_path / "kits" / "one", name, level)
    write(tmp_path / "kits" / "no drums", "flute.wav")
    return tmp_path / "kits" / "one"


def played(kit: Path, *notes: Note, seconds: float = 1.0) -> np.ndarray:
    strokes = drum_kits.drawn_strokes(kit, RATE, np.random.default_rng(0))
    return drum_kits.struck(Part("drums", 0, notes), 60.0, seconds, strokes, RATE)


def test_names_say_which_drum_a_file_is(kit: Path) -> None:
    for name in ("bd_02.wav", "Ride-1.wav", "Crash18-0.wav", "Tom Hi.wav", "notes.wav"):
        write(kit, name)
    (kit / "Kick.txt").write_text("no sound")
    found = {drum: [path.name for path in paths] for drum, paths in drum_kits.strokes(kit).items()}
    assert found == {
        "kick": ["Kick-1.wav", "bd_02.wav"],
        "snare": ["SNARE_hard.flac"],
        "hat": ["hh_closed.wav"],
        "open hat": ["HiHatOpen-2.wav"],
        "ride": ["Ride-1.wav"],
        "crash": ["Crash18-0.wav"],
        "tom": ["Tom Hi.wav"],
    }


def test_folders_without_the_three_main_drums_are_no_kits(kit: Path, tmp_path: Path) -> None:
    assert drum_kits.drum_kits(kit.parent) == [kit]
    for folder in (tmp_path / "kits" / "no drums", tmp_path / "nowhere"):
        with pytest.raises(InputError, match=r"--kits must hold a folder for each kit.*hydrogen-drumkits"):
            drum_kits.drum_kits(folder)


def test_strokes_fall_where_notes_begin_and_go_with_velocity(kit: Path) -> None:
    sound = played(kit, Note(0.25, 0.1, 36, 127), Note(0.5, 0.1, 38, 64), seconds=1.0)
    assert sound.shape == (2, RATE) and sound.dtype == np.float32
    np.testing.assert_array_equal(sound[0], sound[1])
    quarter, half = round(0.25 * RATE), round(0.5 * RATE)
    assert not sound[:, : quarter - 1].any()
    assert sound[0, quarter + 10] == pytest.approx(1.0, abs=1e-3)
    assert sound[0, half + 10] == pytest.approx(-((64 / 127) ** 1.5), abs=1e-3)


def test_missing_drums_are_played_by_their_relatives_and_strokes_end_with_the_song(kit: Path) -> None:
    late = Note(3.0, 1.0, 36, 99)
    sound = played(kit, Note(0.0, 0.1, 49, 127), Note(0.99, 0.1, 70, 127), Note(0.5, 0.1, 30, 127), late)
    assert sound[0, 5] == pytest.approx(-1.0, abs=1e-3)
    assert sound[0, -5] == pytest.approx(1.0, abs=1e-3)
    assert not sound[0, round(0.4 * RATE) : round(0.6 * RATE)].any()


def test_every_other_song_is_played_by_a_kit(kit: Path, tmp_path: Path) -> None:
    settings = RenderSettings((tmp_path / "font.sf2",), tmp_path, kits=(kit,), sample_rate=RATE)
    rng = np.random.default_rng(0)
    players = [render._player("drums", settings, rng) for _ in range(200)]
    struck = [player for player in players if player.kind == render.KIT]
    assert 80 < len(struck) < 120 and {player.origin for player in struck} == {kit}
    alone = replace(settings, kits=())
    assert all(render._player("drums", alone, rng).kind == render.SOUNDFONT for _ in range(20))
    assert all(render._player("bass", settings, rng).kind == render.SOUNDFONT for _ in range(20))


def test_a_song_names_its_kit(kit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "synthesise", lambda *_: np.zeros((2, 4 * RATE), np.float32))
    monkeypatch.setattr(render, "STRUCK", 1.0)
    settings = RenderSettings((tmp_path / "font.sf2",), tmp_path, kits=(kit,), seconds=4.0, sample_rate=RATE)
    folder = render.render_song(settings, 0)
    drums = next(part for part in json.loads((folder / "song.json").read_text())["parts"] if part["group"] == "drums")
    assert drums["kit"] == "one" and "program" not in drums
    sound, rate = files.read(folder / "drums.flac")
    assert rate == RATE and np.abs(sound).max() > 0.1


def test_the_command_refuses_a_folder_without_kits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "font.sf2").write_bytes(b"RIFF\0\0\0\0sfbk")
    argv = ["--soundfont", str(tmp_path / "font.sf2"), "--output", str(tmp_path / "out"), "--kits", str(tmp_path)]
    assert command.main(argv) == 2
    assert "--kits must hold a folder for each kit" in capsys.readouterr().err
