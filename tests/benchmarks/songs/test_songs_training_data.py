"""The training data's command: what it links, what it asks for, and that songs are the same every time."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.songs import training_data
from tfsep.errors import InputError


def test_every_set_is_linked_once(tmp_path: Path) -> None:
    for name in training_data.SETS:
        (tmp_path / "stems" / name).mkdir(parents=True)
    output = tmp_path / "data"
    output.mkdir()
    for _ in range(2):
        training_data.link_sets(tmp_path / "stems", output)
    assert sorted(path.name for path in output.iterdir()) == sorted(training_data.SETS)
    assert all(path.is_symlink() and path.is_dir() for path in output.iterdir())


def test_a_missing_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--stems must hold the folder everything_is_free, got"):
        training_data.link_sets(tmp_path, tmp_path)


def test_a_missing_soundfont_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "sounds" / "sf2"
    folder.mkdir(parents=True)
    (folder / training_data.SOUNDFONTS[0]).touch()
    with pytest.raises(InputError, match=r"the soundfont FluidR3_GS.sf2 must lie below"):
        training_data.found_fonts(tmp_path)


def test_midi_files_of_both_packages_are_collected(tmp_path: Path) -> None:
    for number, folder in enumerate(training_data.MIDI):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / f"{number}.mid").write_bytes(b"MThd")
    found = training_data.collected_midi(tmp_path, tmp_path / "midi")
    assert sorted(path.name for path in found.iterdir()) == ["0.mid", "1.mid"]
    with pytest.raises(InputError, match="MIDI files must lie below"):
        training_data.collected_midi(tmp_path / "elsewhere", tmp_path / "more")


def test_validation_is_no_training() -> None:
    text = Path("gin/data/songs.gin").read_text(encoding="utf-8")
    trained = text.split("train.data")[0]
    assert "isolated_test" not in trained and "real_voices" not in text and "musdb" not in text
    names = [name for name in training_data.SETS if name != "isolated_test"]
    assert all(f"'songs_data/{name}'" in trained for name in names)
