"""Priors of stems song by song: what is chosen, kept and refused; the trainings themselves are tested elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from benchmarks.priors import stems_priors
from tfsep.audio import files
from tfsep.errors import InputError


def test_songs_are_chosen_by_words(tmp_path: Path) -> None:
    for name in ("A - One", "A - Two", "B - Two"):
        (tmp_path / "train" / name).mkdir(parents=True)
    assert stems_priors._chosen(str(tmp_path), None) == ["A - One", "A - Two", "B - Two"]
    assert stems_priors._chosen(str(tmp_path), ["Two"]) == ["A - Two", "B - Two"]
    with pytest.raises(InputError, match="--song must be in the name of one of A - One, .*, got Three"):
        stems_priors._chosen(str(tmp_path), ["Three"])


def test_a_song_measured_again_replaces_its_record(tmp_path: Path) -> None:
    found = (("one", "none", 0.5), ("two", "none", 0.6), ("one", "wide", 0.8), ("one", "none", 0.7))
    for song, name, accuracy in found:
        stems_priors.keep(tmp_path / "new", song, {name: {"accuracy": accuracy, "seconds": 1.0}})
    kept = json.loads((tmp_path / "new" / stems_priors.LEFT_OUT).read_text())
    one = {"none": {"accuracy": 0.7}, "wide": {"accuracy": 0.8}}
    assert kept == {"songs": {"one": one, "two": {"none": {"accuracy": 0.6}}}}


def test_a_song_is_tested_on_the_stems_that_it_has(tmp_path: Path) -> None:
    tone = np.sin(np.arange(8000, dtype=np.float32))[np.newaxis]
    for source, wave in (("drums", tone), ("bass", 0 * tone), ("other", tone)):
        with files.Writer(tmp_path / "train" / "Song" / f"{source}.wav", 8000, 1) as writer:
            writer.write(wave)
    description = {"sources": ["drums", "bass", "other", "vocals"], "sample_rate": 8000}
    with mock.patch("tfsep.models.store.describe", return_value=description):
        assert stems_priors._audible(str(tmp_path), "Song", tmp_path) == ["drums", "other"]


def test_leaving_out_needs_real_songs(capsys: pytest.CaptureFixture[str]) -> None:
    assert stems_priors.main(["--songs=nowhere", "--only=left_out"]) == 2
    assert "left_out needs --real, a folder of stems" in capsys.readouterr().err
