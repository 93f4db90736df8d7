"""A short part of the generated cases, and generators that find what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.fuzz import audio, commands, sounds
from benchmarks.fuzz.summary import Summary
from tfsep.audio import files
from tfsep.errors import JobError


def test_a_summary_prints_cases_and_faults() -> None:
    assert str(Summary("audio", 10)) == "audio: 10 cases, 0 faults"
    assert str(Summary("audio", 2, ["case 1: x"])) == "audio: 2 cases, 1 faults\ncase 1: x"


@pytest.mark.programs
def test_sound_files_are_read_or_refused() -> None:
    assert audio.run(30, 1).faults == []


def test_commands_in_trouble_say_one_line() -> None:
    found = commands.run(4, 1)
    assert (found.cases, found.faults) == (4, [])


def test_cases_depend_on_the_seed_and_their_number(tmp_path: Path) -> None:
    originals = {"wav": bytes(range(256)) * 20}
    cases = [sounds.make_case(originals, tmp_path, number, 3).path.read_bytes() for number in (0, 1, 0)]
    assert cases[0] == cases[2] != cases[1]


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        (JobError("two\nlines"), "not one line that names the file"),
        (JobError("no name"), "not one line that names the file"),
        (ValueError("escaped"), "ValueError: escaped"),
        (None, "0.00 s of 2.00 s are read without a word"),
    ],
)
def test_faults_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: Exception | None, says: str
) -> None:
    def info(path: Path, most: float) -> Any:
        if outcome is not None:
            raise outcome
        return files.AudioInfo(path, 8000, 1, 1, "PCM_16", "WAV")

    monkeypatch.setattr(files, "info", info)
    monkeypatch.setattr(files, "blocks", lambda *_: iter([np.zeros((1, 1))]))
    fault = audio.fault_of(sounds.Case(tmp_path / "a.wav", "a case", 2.0))
    assert fault is not None and says in fault
