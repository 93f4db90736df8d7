"""A worker makes cases, runs them, measures their memory, and survives what goes wrong in one."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import numpy as np
import pytest

from benchmarks.speed.worker import Case, Worker, peak_rise, respond, serve
from tfsep.errors import JobError

HERE = "tests.benchmarks.speed.test_worker:counting"


def counting(start: int, megabytes: int = 1) -> Case:
    """A case of two units that must hold an array of so many megabytes."""
    return Case(lambda: np.ones(megabytes * 125_000).sum(), per_call=2, check=[float(start)], prepared=100.0, flops=8.0)


def answers(*requests: dict[str, Any]) -> list[dict[str, Any]]:
    written = io.StringIO()
    serve(io.StringIO("".join(json.dumps(request) + "\n" for request in requests)), written)
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_a_case_is_made_run_and_dropped() -> None:
    make = {"do": "make", "name": "a", "call": HERE, "setting": {"start": 3}}
    made, run, dropped, gone = answers(make, *({"do": do, "name": "a"} for do in ("run", "drop", "run")))
    assert (made["check"], made["flops"], made["per_call"]) == ([3.0], 8.0, 2)
    assert made["first"] > 100.0
    assert run["wall"] > 0.0 and run["cpu"] >= 0.0
    assert dropped == {}
    assert gone["error"].startswith("KeyError")


def test_what_fails_is_answered_and_the_worker_goes_on() -> None:
    bad = {"do": "make", "name": "a", "call": HERE, "setting": {"stop": 3}}
    good = {"do": "make", "name": "a", "call": HERE, "setting": {"start": 3}}
    found = answers(bad, {"do": "walk", "name": "a"}, good)
    assert "unexpected keyword" in found[0]["error"]
    assert "make, run, peak or drop, got 'walk'" in found[1]["error"]
    assert found[2]["check"] == [3.0]


def test_the_peak_is_what_a_case_adds() -> None:
    small, large = (peak_rise(counting(0, megabytes)) for megabytes in (20, 200))
    assert 19e6 < small < 60e6
    assert 195e6 < large < 260e6


def test_a_library_that_counts_its_memory_is_asked() -> None:
    case = Case(lambda: None, rise=lambda: 123)
    assert respond({"a": case}, {"do": "peak", "name": "a"}) == {"bytes": 123}


def test_a_worker_in_a_process_answers_and_ends() -> None:
    with Worker(sys.executable, threads=1) as worker:
        assert worker.ask("make", "a", call=HERE, setting={"start": 1})["per_call"] == 2
        timing = worker.run("a", 2)
        assert timing.wall > 0.0
        with pytest.raises(JobError, match="b: KeyError"):
            worker.ask("run", "b")
    with pytest.raises(JobError, match="ended with code 0 at run a"):
        worker.ask("run", "a")


def test_an_environment_that_is_not_there_is_named() -> None:
    with pytest.raises(JobError, match="no worker starts with .*nowhere.*make pytorch"):
        Worker("/nowhere/bin/python")
