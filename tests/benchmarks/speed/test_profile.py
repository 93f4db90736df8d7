"""The profile's arithmetic: own times of nested spans, kinds of operations, the table, and a trace of a small row."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.speed import profile


def test_time_within_another_operation_is_not_its_own() -> None:
    threads = {
        "a": [(0.0, 100.0, "while.3"), (10.0, 30.0, "dot.1"), (30.0, 90.0, "%fusion.2 = f32"), (40.0, 50.0, "dot.9")],
        "b": [(5.0, 25.0, "dot.4"), (25.0, 26.0, "model/dense:MatMul")],
    }
    own = profile.own_times(threads)
    assert own == {"while": (20.0, 1), "dot": (50.0, 3), "fusion": (50.0, 1), "MatMul": (1.0, 1)}
    assert sum(value for value, _ in own.values()) == 100.0 + 21.0


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("%dot.12 = f32[2]{0} dot(...)", "dot"),
        ("multiply_add_fusion.3.clone", "multiply_add_fusion"),
        ("a/b/conv1d:Conv2D", "Conv2D"),
        ("Run#id=3#", "Run"),
        ("transpose_copy_fusion", "transpose_copy_fusion"),
    ],
)
def test_kinds(name: str, kind: str) -> None:
    assert profile.kind_of(name) == kind


def test_the_table_has_the_longest_the_rest_and_no_waiting() -> None:
    own = {"dot": (6e9, 4), "fusion": (3e9, 2), "copy": (1e9, 2), "Run": (50e9, 1)}
    lines = profile.table(own, 2, 1).splitlines()
    assert lines[2:] == ["| dot | 2 | 3.0 | 60 % |", "| everything else | 2 | 2.0 | 40 % |"]


def test_an_unknown_row_and_an_empty_trace_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert profile.main(["--row=nothing"]) == 2
    assert "--row must be one of training, 1-D, 8 couplings" in capsys.readouterr().err
    with pytest.raises(profile.JobError, match="left no trace"):
        profile.read_spans(tmp_path)


@pytest.mark.slow
def test_a_row_is_profiled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert profile.main(["--row=scaling, 1024 samples", "--units=1", f"--logdir={tmp_path}"]) == 0
    out = capsys.readouterr().out
    # oneDNN gives the product a longer name on some processors, such as _MklNativeFusedMatMul.
    assert re.search(r"\| \w*MatMul \|", out) and list(tmp_path.rglob("*.xplane.pb"))
