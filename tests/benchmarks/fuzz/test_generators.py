"""A short part of `make fuzz`, and that its judges notice what they are for."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from benchmarks.fuzz import __main__ as command
from benchmarks.fuzz import gin_files, kills, model_folders
from benchmarks.fuzz.summary import Summary
from benchmarks.fuzz.trial import fault
from tfsep.errors import InputError


def raising(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (InputError("one line"), None),
        (InputError("two\nlines"), "not one printable line"),
        (InputError("a\x1b[31mcolour"), "not one printable line"),
        (InputError("x" * 3000), "not one printable line"),
        (KeyError("x"), "KeyError"),
    ],
)
def test_a_fault_is_whatever_is_no_line_of_text(error: Exception, part: str | None) -> None:
    found = fault(lambda: raising(error))
    assert found is None if part is None else found is not None and part in found


def test_a_try_without_end_is_a_fault() -> None:
    assert fault(lambda: time.sleep(5.0), seconds=0.05) == "no end within 0.05 s"
    time.sleep(0.1)


def test_gin_files_have_no_fault() -> None:
    summary = gin_files.run(40, seed=1)
    assert (summary.cases, summary.faults) == (40, [])


def test_model_folders_have_no_fault() -> None:
    summary = model_folders.run(12, seed=1)
    assert (summary.cases, summary.faults) == (12, [])


def test_a_broken_reader_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        gin_files.config, "parse", lambda *given: raising(ZeroDivisionError("oh")) if given[0] else None
    )
    assert gin_files.run(2, seed=1).faults[0].endswith("ZeroDivisionError: 'oh'")


def test_cases_are_those_of_their_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []
    keep = lambda files: texts.append(Path(files[0]).read_bytes().hex()) if files else None  # noqa: E731
    monkeypatch.setattr(gin_files.config, "parse", keep)
    for seed in (1, 1, 2):
        gin_files.run(3, seed)
    assert texts[:3] == texts[3:6] != texts[6:]


@pytest.mark.parametrize(
    ("code", "error", "part"),
    [
        (0, "", None),
        (143, "ended by SIGTERM", None),
        (-9, "", None),
        (1, "error: x", "exit code 1: error: x"),
        (143, "Traceback (most recent call last)", "a traceback"),
        (-1, "no end within 10 s of SIGTERM", "no end within 10 s"),
    ],
)
def test_the_end_of_a_process_is_judged(code: int, error: str, part: str | None) -> None:
    found = kills._bad_end(code, error)
    assert found == [] if part is None else part in found[0]


def test_the_command_prints_a_summary_and_fails_on_faults(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gin_files, "run", lambda num, seed: Summary("gin files", num))
    monkeypatch.setattr(kills, "run", lambda num, seed: Summary("kills", num, [f"kill 3 of seed {seed}: a traceback"]))
    assert command.main(["gin_files=7", "--seed=2"]) == 0
    assert command.main(["gin_files=7", "kills", "--seed=2"]) == 1
    assert capsys.readouterr().out.splitlines()[1:] == [
        "gin files: 7 cases, 0 faults",
        "kills: 30 cases, 1 faults",
        "kill 3 of seed 2: a traceback",
    ]
    with pytest.raises(SystemExit):
        command.main(["gin=7"])
