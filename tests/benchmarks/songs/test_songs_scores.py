"""Scores of a songs model: roles and levels of each set, voices against their accompaniment, and the table."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.songs import scores
from tfsep.audio import files
from tfsep.errors import InputError

RATE, LONG = 22050, 22050
SOURCES = ("drums", "bass", "other", "vocals")


class Splitter:
    """A separator that knows each source by its frequency, and lets a tenth of the rest through."""

    sources, name = SOURCES, "splitter"

    def __init__(self, frequencies: dict[str, float]) -> None:
        self.frequencies = frequencies

    def __call__(self, mixture: np.ndarray, rate: int, seed: int = 0) -> dict[str, np.ndarray]:
        frequency = np.fft.rfftfreq(mixture.shape[-1], 1.0 / rate)
        spectrum = np.fft.rfft(mixture)
        found = {}
        for name in self.sources:
            inside = np.abs(frequency - self.frequencies[name]) < 50.0
            found[name] = np.fft.irfft(spectrum * np.where(inside, 1.0, 0.1), mixture.shape[-1]).astype(np.float32)
        return found


FREQUENCIES = dict(zip(SOURCES, (3000.0, 100.0, 600.0, 1200.0), strict=True))


def tone(name: str, level: float = 0.1) -> np.ndarray:
    return (level * np.sin(2.0 * np.pi * FREQUENCIES[name] * np.arange(LONG) / RATE)).astype(np.float32)


def write(folder: Path, **sounds: np.ndarray) -> None:
    folder.mkdir(parents=True)
    for name, sound in sounds.items():
        with files.Writer(folder / f"{name}.wav", RATE, 1) as writer:
            writer.write(sound[np.newaxis])


def test_a_set_is_scored_at_its_own_and_at_balanced_levels(tmp_path: Path) -> None:
    stems = {name: tone(name) for name in ("drums", "other")} | {"bass": tone("bass", 0.01)}
    write(tmp_path / "modules" / "test" / "one", **stems)
    found = list(scores.scored(Splitter(FREQUENCIES), "it", scores.Set("modules", "test", "chooses", False), tmp_path))
    assert [record["levels"] for record in found] == ["own", "balanced"]
    assert found[0]["counts"] == {"drums": 1, "bass": 1, "other": 1, "vocals": 0}
    assert found[0]["sources"]["vocals"] is None
    # A tenth of each of two equal tones is left in the bass, 20 dB below them and as loud as it is itself.
    assert found[0]["sources"]["bass"] == pytest.approx(20.0, abs=0.3)
    assert found[1]["sources"]["bass"] == pytest.approx(20.0, abs=0.3)
    assert found[0]["mean"] == pytest.approx(np.mean([found[0]["sources"][name] for name in stems]), abs=1e-6)


def test_voices_are_scored_against_the_sum_of_the_rest(tmp_path: Path) -> None:
    backing = tone("drums") + tone("bass") + tone("other")
    write(tmp_path / "real_voices" / "test" / "one", vocals=tone("vocals"), accompaniment=backing)
    each = next(known for known in scores.SETS if known.name == "real_voices")
    (found,) = scores.scored(Splitter(FREQUENCIES), "it", each, tmp_path)
    assert found["role"] == "chooses" and found["tracks"] == 1
    assert found["sources"]["vocals"] == pytest.approx(20.0, abs=0.3)
    # Every tone of the backing comes through its own stem whole and through two others at a tenth; the voice at 0.3.
    assert found["sources"]["accompaniment"] == pytest.approx(20.0 * np.log10(1.2 / 0.3), abs=0.3)


def test_the_table_has_a_row_for_each_set_model_and_level() -> None:
    record: dict[str, Any] = {
        "model": "it",
        "data": "lmms/test",
        "role": "chooses",
        "levels": "own",
        "tracks": 2,
        "sources": {"drums": 1.25, "bass": None},
        "mean": 1.25,
        "ideal": 10.0,
        "sdr": {"drums": 3.0},
    }
    other = {**record, "data": "rendered/test", "role": "reports"}
    lines = scores.as_table([record, other]).splitlines()
    assert lines[4] == "| rendered/test | reports | own | it | 2 | 1.2 | - | - | - | - | 1.2 | 10.0 | drums 3.0 |"
    assert lines[5].startswith("| lmms/test | chooses")


def test_an_unknown_set_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert scores.main([f"--stems={tmp_path}", "--only=nothing"]) == InputError.exit_code
    assert "--only must be one of rendered, musdb_sample" in capsys.readouterr().err


def test_no_set_that_reports_chooses() -> None:
    roles = SimpleNamespace(**{each.name: each.role for each in scores.SETS})
    assert roles.rendered == roles.musdb_sample == "reports"
    assert roles.modules == roles.lmms == roles.real_voices == "chooses" and roles.everything_is_free == "trains"
