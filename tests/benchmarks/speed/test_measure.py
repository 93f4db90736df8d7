"""Ratios are paired by rounds, models that differ are not compared, and a row is measured from end to end.

The rows run in two workers of this environment, with cases that only wait.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.speed.measure import (
    Bench,
    busy_seconds,
    disagreement,
    interleave,
    measure,
    median,
    paired,
    parsed,
    refuse_unequal,
)
from benchmarks.speed.rows import MEMORY, TIME, Participant, Row
from benchmarks.speed.worker import Timing
from tfsep.errors import InputError, JobError

CASES = "tests.benchmarks.speed.speed_cases"
PRODUCTS = (f"{CASES}:product", f"{CASES}:product")
PEAK = 2.0 * 1536**3 / 0.01


def recorder(order: list[str], name: str, seconds: float) -> Callable[[], Timing]:
    def run() -> Timing:
        order.append(name)
        return Timing(seconds, 2 * seconds)

    return run


def timings(*walls: float, cpu: float = 1.0) -> list[Timing]:
    return [Timing(wall, cpu) for wall in walls]


def test_every_round_runs_each_once_and_begins_with_the_next() -> None:
    order: list[str] = []
    pauses: list[float] = []
    participants = {name: recorder(order, name, number) for number, name in enumerate("abc", start=1)}
    found = interleave(participants, rounds=4, pause=0.5, sleep=pauses.append)
    assert "".join(order) == "abcbcacababc"
    assert pauses == [0.5] * 12
    assert {name: [timing.wall for timing in each] for name, each in found.items()} == {
        "a": [1, 1, 1, 1],
        "b": [2, 2, 2, 2],
        "c": [3, 3, 3, 3],
    }


@pytest.mark.parametrize(("names", "rounds"), [("ab", 0), ("", 3)])
def test_nothing_to_interleave_is_refused(names: str, rounds: int) -> None:
    participants = {name: recorder([], name, 1.0) for name in names}
    with pytest.raises(InputError, match="at least 1 round"):
        interleave(participants, rounds, sleep=lambda _: None)


def test_a_slow_minute_does_not_move_a_paired_ratio() -> None:
    tfsep, reference = timings(1.0, 1.0, 9.0, 9.0), timings(2.0, 2.0, 18.0, 18.0)
    assert paired(tfsep, reference).median == 2.0
    ratio = paired(timings(1.0, 2.0, 4.0), timings(3.0, 4.0, 4.0))
    assert (ratio.median, ratio.low, ratio.high) == (2.0, 1.5, 2.5)


def test_processor_time_has_a_ratio_of_its_own() -> None:
    assert paired(timings(1.0, 1.0, cpu=2.0), timings(3.0, 3.0, cpu=8.0), "cpu").median == 4.0
    assert median(timings(1.0, 5.0, 2.0)) == 2.0
    assert median(timings(1.0, cpu=3.0), "cpu") == 3.0


@pytest.mark.parametrize(("tfsep", "reference"), [((), ()), ((1.0,), (1.0, 2.0))])
def test_timings_that_do_not_pair_are_refused(tfsep: tuple[float, ...], reference: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="equally many timings"):
        paired(timings(*tfsep), timings(*reference))


def test_disagreement_is_relative_above_one() -> None:
    assert disagreement([0.5, 100.0], [0.5, 101.0]) == pytest.approx(0.01)
    assert disagreement([0.5], [0.6]) == pytest.approx(0.1)
    assert disagreement([], []) == 0.0


@pytest.mark.parametrize("reference", [[1.0], [1.0, math.nan], [1.0, math.inf], [1.0, 2.0, 3.0]])
def test_what_cannot_be_compared_disagrees_without_end(reference: list[float]) -> None:
    assert disagreement([1.0, 2.0], reference) == math.inf
    with pytest.raises(JobError, match="must agree"):
        refuse_unequal("row", [1.0, 2.0], reference)


def test_models_that_differ_are_refused_with_the_difference() -> None:
    assert refuse_unequal("row", [-1.0], [-1.00005]) == pytest.approx(5e-5)
    with pytest.raises(JobError, match="row, eager: .* within 0.0001, they differ by 0.001: not timed"):
        refuse_unequal("row, eager", [-1.0], [-1.001])


def waiting(seconds: float, in_tfsep: bool = False, **more: float) -> Participant:
    return Participant(f"{CASES}:waiting", {"seconds": seconds, **more}, in_tfsep)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    found = Bench(sys.executable, sys.executable, tmp_path, 2, {}, PRODUCTS)
    yield found
    found.close()


class ScriptedWorker:
    """A worker whose cases take the seconds of a script, in processor time of two threads."""

    def __init__(self, seconds: dict[str, list[float]]) -> None:
        self._seconds = {name: iter(each) for name, each in seconds.items()}

    def ask(self, do: str, name: str, **request: object) -> dict[str, Any]:
        made = {"check": [1.0], "flops": 4e9, "per_call": 2, "first": 9.0}
        return {"make": made, "peak": {"bytes": 5_000_000}, "drop": {}}[do]

    def run(self, name: str, per_call: int) -> Timing:
        seconds = next(self._seconds[name])
        return Timing(seconds, 2.0 * seconds)


def test_a_row_has_one_record_for_each_reference(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    own = ScriptedWorker({"tfsep": [0.1, 0.1, 0.4], "product": [0.01, 0.01, 0.04]})
    other = ScriptedWorker({"slow": [0.3, 0.3, 1.6], "fast": [0.05, 0.05, 0.1], "product": [0.02, 0.02, 0.02]})
    monkeypatch.setattr(bench, "worker", lambda in_tfsep, threads: own if in_tfsep else other)
    slow, fast = measure(
        Row("waits", TIME, "nap", {}, waiting(0.0, in_tfsep=True), {"slow": waiting(0.0), "fast": waiting(0.0)}, 1.5),
        bench,
    )
    assert (slow["row"], slow["kind"], slow["unit"], slow["rounds"]) == ("waits", "time", "nap", 3)
    assert (slow["reference"], fast["reference"]) == ("slow", "fast")
    assert (slow["tfsep_seconds"], slow["reference_seconds"], slow["tfsep_cpu"], slow["reference_cpu"]) == (
        0.1,
        0.3,
        0.2,
        0.6,
    )
    assert (slow["ratio"], fast["ratio"], slow["ratio_cpu"]) == pytest.approx((3.0, 0.5, 3.0))
    assert slow["ratio_quartiles"] == pytest.approx([3.0, 3.5])
    assert (
        slow["disagreement"] == 0.0 and slow["first"] == slow["reference_first"] == 9.0 and slow["reference_mb"] == 5.0
    )
    # The faster product of each round counts: 10, 10 and 20 ms.
    assert 1e9 * slow["peak_gflops"] == pytest.approx(PEAK)
    assert slow["lower_bound"] == pytest.approx(4e9 / PEAK)
    assert slow["share"] == pytest.approx(4e9 / PEAK / 0.1) and slow["share_cpu"] == pytest.approx(slow["share"])


def test_a_row_is_measured_in_workers(bench: Bench) -> None:
    row = Row("waits", TIME, "nap", {}, waiting(0.02, in_tfsep=True), {"slow": waiting(0.04)}, 0.5)
    (record,) = measure(row, bench)
    assert record["tfsep_seconds"] >= 0.01 and record["reference_seconds"] >= 0.02 and record["other_cores"] >= 0.0
    assert record["first"] >= 0.02 and record["reference_first"] >= 0.04 and record["ratio"] > 0.0
    assert 0.0 < 1e9 * record["peak_gflops"] <= PEAK


def test_a_reference_that_differs_or_fails_is_refused_and_the_others_are_timed(bench: Bench) -> None:
    references = {
        "other": waiting(0.01, check=1.001),
        "broken": Participant(f"{CASES}:failing"),
        "same": waiting(0.01, check=1.00005),
    }
    other, broken, same = measure(Row("waits", TIME, "nap", {}, waiting(0.01, True), references), bench)
    assert "within 0.0001, they differ by 0.001" in other["refused"] and "ratio" not in other
    assert "no case for" in broken["refused"]
    assert same["reference"] == "same" and same["disagreement"] == pytest.approx(5e-5) and "ratio" in same


def test_tfsep_alone_has_a_record_and_its_failure_is_an_error(bench: Bench) -> None:
    (record,) = measure(Row("alone", TIME, "nap", {}, waiting(0.01, True), {}), bench)
    assert record["reference"] == "-" and "ratio" not in record and record["tfsep_seconds"] > 0.0
    with pytest.raises(JobError, match="no case for"):
        measure(Row("bad", TIME, "nap", {}, Participant(f"{CASES}:failing", in_tfsep=True), {}), bench)


def test_a_variant_changes_tfseps_side_and_the_name(tmp_path: Path) -> None:
    bench = Bench(sys.executable, sys.executable, tmp_path, 1, {"more": 0.2}, PRODUCTS)
    side = Participant(f"{CASES}:waiting", {"seconds": 0.0}, True)
    row = Row("waits", TIME, "nap", {"prior": 0}, side, {"a reference": side})
    assert bench.setting(row, "tfsep")["variant"] == {"more": 0.2}
    assert "variant" not in bench.setting(row, "a reference")
    (record,) = measure(Row("waits", TIME, "nap", {}, waiting(0.0, True), {}), bench)
    bench.close()
    assert record["row"] == "waits, more=0.2"


def test_memory_is_measured_in_processes_of_their_own(bench: Bench) -> None:
    tfsep, reference = (Participant(f"{CASES}:holding", {"megabytes": size}, size == 50) for size in (50, 200))
    (record,) = measure(Row("memory", MEMORY, "step", {}, tfsep, {"large": reference}), bench)
    assert 48.0 < record["tfsep_mb"] < 90.0 and 195.0 < record["reference_mb"] < 260.0
    assert record["ratio_mb"] == pytest.approx(record["reference_mb"] / record["tfsep_mb"])


def test_the_machine_has_been_busy() -> None:
    before = busy_seconds()
    assert before > 0.0
    while busy_seconds() == before:
        sum(range(10_000))
    assert busy_seconds() > before


def test_a_variant_is_an_object() -> None:
    assert parsed('{"recompute": true}') == {"recompute": True}
    for text in ("[1]", "{", "3"):
        with pytest.raises(JobError, match="JSON object"):
            parsed(text)
