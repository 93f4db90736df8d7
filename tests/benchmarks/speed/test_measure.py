"""A row is measured from end to end, with two workers of this environment and cases that only wait."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.speed.measure import Bench, busy_seconds, measure, parsed
from benchmarks.speed.rows import MEMORY, TIME, Participant, Row
from tfsep.errors import JobError

CASES = "tests.benchmarks.speed.speed_cases"
PRODUCTS = (f"{CASES}:product", f"{CASES}:product")
PEAK = 2.0 * 1536**3 / 0.01


def waiting(seconds: float, at_home: bool = False, **more: float) -> Participant:
    return Participant(f"{CASES}:waiting", {"seconds": seconds, **more}, at_home)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    found = Bench(sys.executable, sys.executable, tmp_path, 2, {}, PRODUCTS)
    yield found
    found.close()


def test_a_row_has_one_record_for_each_peer(bench: Bench) -> None:
    row = Row("waits", TIME, "nap", {}, waiting(0.2, at_home=True), {"slow": waiting(0.6), "fast": waiting(0.1)}, 1.5)
    slow, fast = measure(row, bench)
    assert (slow["row"], slow["kind"], slow["unit"], slow["rounds"]) == ("waits", "time", "nap", 3)
    assert (slow["peer"], fast["peer"]) == ("slow", "fast")
    assert 0.1 <= slow["ours"] < 0.2 and 0.3 <= slow["theirs"] < 0.5
    assert 1.5 < slow["ratio"] < 4.0 and 0.2 < fast["ratio"] < 1.0
    assert slow["ratio_quartiles"][0] <= slow["ratio"] <= slow["ratio_quartiles"][1]
    assert slow["apart"] == 0.0 and slow["first"] >= 0.2 and slow["theirs_first"] >= 0.6
    assert 0.3 * PEAK < 1e9 * slow["peak_gflops"] <= PEAK
    assert slow["floor"] == pytest.approx(slow["gflops"] / slow["peak_gflops"], rel=0.5)
    assert slow["share"] == pytest.approx(slow["floor"] / slow["ours"], rel=0.5)
    assert slow["share_cpu"] > 0.0


def test_a_peer_that_differs_or_fails_is_refused_and_the_others_are_timed(bench: Bench) -> None:
    peers = {
        "other": waiting(0.01, check=1.001),
        "broken": Participant(f"{CASES}:failing"),
        "same": waiting(0.01, check=1.00005),
    }
    other, broken, same = measure(Row("waits", TIME, "nap", {}, waiting(0.01, True), peers), bench)
    assert "within 0.0001, they differ by 0.001" in other["refused"] and "ratio" not in other
    assert "no case for" in broken["refused"]
    assert same["peer"] == "same" and same["apart"] == pytest.approx(5e-5) and "ratio" in same


def test_ours_alone_has_a_record_and_our_failure_is_one(bench: Bench) -> None:
    (record,) = measure(Row("alone", TIME, "nap", {}, waiting(0.01, True), {}), bench)
    assert record["peer"] == "-" and "ratio" not in record and record["ours"] > 0.0
    with pytest.raises(JobError, match="no case for"):
        measure(Row("bad", TIME, "nap", {}, Participant(f"{CASES}:failing", at_home=True), {}), bench)


def test_a_variant_changes_ours_and_the_name(tmp_path: Path) -> None:
    bench = Bench(sys.executable, sys.executable, tmp_path, 1, {"more": 0.2}, PRODUCTS)
    row = Row("waits", TIME, "nap", {"prior": 0}, Participant(f"{CASES}:waiting", {"seconds": 0.0}, True), {})
    assert bench.setting(row, row.ours, ours=True)["variant"] == {"more": 0.2}
    assert "variant" not in bench.setting(row, row.ours, ours=False)
    (record,) = measure(Row("waits", TIME, "nap", {}, waiting(0.0, True), {}), bench)
    bench.close()
    assert record["row"] == "waits, more=0.2"


def test_memory_is_measured_in_processes_of_their_own(bench: Bench) -> None:
    ours, peer = (Participant(f"{CASES}:holding", {"megabytes": size}, size == 50) for size in (50, 200))
    (record,) = measure(Row("memory", MEMORY, "step", {}, ours, {"large": peer}), bench)
    assert 48.0 < record["ours_mb"] < 90.0 and 195.0 < record["theirs_mb"] < 260.0
    assert record["ratio_mb"] == pytest.approx(record["theirs_mb"] / record["ours_mb"])


def test_the_machine_has_been_busy() -> None:
    before = busy_seconds()
    assert before > 0.0
    sum(range(3_000_000))
    assert busy_seconds() > before


def test_a_variant_is_an_object() -> None:
    assert parsed('{"recompute": true}') == {"recompute": True}
    for text in ("[1]", "{", "3"):
        with pytest.raises(JobError, match="JSON object"):
            parsed(text)
