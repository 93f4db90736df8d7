"""The tables, targets and picture of speed, from records without a measurement; every row is one that can be built."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.speed import speed
from benchmarks.speed import table as speed_table
from benchmarks.speed.rows import COMMAND, ROWS, TIME, wave
from benchmarks.speed.table import in_order, largest, of, parts, quotient, smallest, targets

RECORD: dict[str, Any] = {
    "row": "training, 1-D, 8 couplings",
    "kind": "time",
    "unit": "step",
    "reference": "eager",
    "tfsep_seconds": 0.2,
    "reference_seconds": 0.5,
    "ratio": 2.5,
    "ratio_quartiles": [2.25, 2.75],
    "ratio_cpu": 3.0,
    "share": 0.5,
    "share_cpu": 0.6,
    "lower_bound": 0.1,
    "first": 11.0,
    "reference_first": 0.6,
    "other_cores": 0.04,
}
REFUSED = {key: RECORD[key] for key in ("row", "kind", "unit", "tfsep_seconds", "first", "other_cores")} | {
    "reference": "bf16",
    "refused": "differ",
}
MEMORY = [
    {
        "row": f"memory, {n} couplings{how}",
        "kind": "memory",
        "unit": "step",
        "reference": "eager",
        "tfsep_seconds": 1.0,
        "reference_seconds": 2.0,
    }
    | {"tfsep_mb": 100.0 + n, "reference_mb": 600.0, "ratio_mb": 600.0 / (100.0 + n)}
    for n, how in ((12, ""), *((n, f", {speed_table._SOME_KEPT}") for n in (4, 12, 16)))
]
SONG: dict[str, Any] = {
    "row": "bin/separate, 30 s",
    "kind": "command",
    "unit": "file",
    "reference": "-",
    "tfsep_seconds": 6.0,
    "tfsep_cpu": 9.0,
}
COSTLY = {
    **RECORD,
    "row": f"training, 1-D, 12 couplings of 16,384 samples, {speed_table._SOME_KEPT}",
    "reference": "nothing recomputed",
    "reference_seconds": 0.16,
}
RECORDS = [RECORD, REFUSED, *MEMORY, COSTLY, {**SONG, "tfsep_mb": 900.0, "seconds": 30}]


def test_the_tables_say_what_the_records_say() -> None:
    found = parts(RECORDS)
    times = found["times"].splitlines()
    assert times[2] == (
        "| training, 1-D, 8 couplings | eager | 200 | 500 | **2.50** (2.25 to 2.75) | 3 | 50 % (60 %) | 100 "
        "| 11 (0.6) | - (-) | 0.0 |"
    )
    refused = "| training, 1-D, 8 couplings | bf16 | 200 | - | refused: differ | - | - (-) | - | 11 (-) | - (-) | 0.0 |"
    assert times[3] == refused
    assert times[1] == "|" + "---|" * 11
    assert found["memory"].splitlines()[2] == "| memory, 12 couplings | eager | 112 | 600 | 5.36 | 1 | 2 |"
    scaled = parts([*RECORDS, {**RECORD, "row": "scaling, 1024 samples"}])
    assert scaled["times"] == found["times"] and "| scaling, 1024 samples | eager |" in scaled["scaling"]
    assert found["commands"].splitlines()[2] == "| bin/separate, 30 s | 6 | 9 | 0.20 | 900 | - |"


def test_records_are_ordered_as_the_rows() -> None:
    varied = {**RECORD, "row": f"{RECORD['row']}, recompute=True"}
    compiled = {**RECORD, "reference": "compile"}
    shuffled = [RECORDS[-1], *MEMORY, varied, compiled, RECORD]
    names = [(record["row"], record["reference"]) for record in in_order(shuffled)]
    assert names[:3] == [(RECORD["row"], "eager"), (RECORD["row"], "compile"), (varied["row"], "eager")]
    assert names[3:] == [*((record["row"], "eager") for record in MEMORY), (SONG["row"], "-")]


def test_a_target_is_reached_missed_or_not_measured() -> None:
    rows = parts(RECORDS)["targets"].splitlines()
    assert "| 1-D training step, PyTorch eager over tfsep, the fastest of tfsep's modes | >= 2 | 2.50 | yes |" in rows
    assert "| 1-D training step, torch.compile over tfsep | >= 1.5 | not measured | - |" in rows
    some = speed_table._SOME_KEPT
    assert f"| training memory, 16 couplings over 4, {some} | <= 1.3 | 1.12 | yes |" in rows
    assert f"| training memory at 12 couplings, PyTorch eager over tfsep, {some} | >= 5 | 5.36 | yes |" in rows
    assert f"| training step at 12 couplings, {some} over precision=bfloat16 | <= 1.3 | 1.25 | yes |" in rows
    assert "| real-time factor of a song of 30 s | <= 0.3 | 0.20 | yes |" in rows
    slow = parts([{**RECORD, "ratio": 1.5}, {**RECORD, "row": f"{RECORD['row']}, XLA", "ratio": 1.75}])["targets"]
    assert "| 1-D training step, PyTorch eager over tfsep, the fastest of tfsep's modes | >= 2 | 1.75 | no |" in slow


def test_figures_need_all_their_rows() -> None:
    ratio, missing = of(RECORD["row"], "eager", "ratio"), of("nothing", "", "ratio")
    assert ratio(RECORDS) == 2.5
    assert quotient(ratio, missing)(RECORDS) is None
    assert smallest(ratio, of(RECORD["row"], "", "ratio_cpu"))(RECORDS) == 2.5
    assert smallest(ratio, missing)(RECORDS) == ratio(RECORDS) and smallest(missing)(RECORDS) is None
    assert largest(smallest(ratio, missing), missing)(RECORDS) == 2.5 and largest(missing)(RECORDS) is None


def test_every_target_reads_a_row_that_exists() -> None:
    names = {row.name for row in ROWS}
    figures = ("tfsep_seconds", "reference_seconds", "tfsep_mb", "reference_mb", "ratio", "ratio_cpu", "share", "first")
    everything = [
        {"row": row.name, "reference": reference, "kind": row.kind, "seconds": 30} | dict.fromkeys(figures, 1.0)
        for row in ROWS
        for reference in row.references or {"-": None}
    ]
    assert len(names) == len(ROWS)
    assert [target.name for target in targets() if target.figure(everything) is None] == []


def test_rows_share_one_architecture_with_their_references() -> None:
    from tfsep import priors

    assert sum(layer["num_levels"] * layer["num_steps"] for layer in (wave(2), wave(4), wave(8), wave(32))) == 46
    for row in ROWS:
        if row.kind == TIME and "prior" in row.shared and "32" not in row.name:
            in_tfsep = {name for name, reference in row.references.items() if reference.in_tfsep}
            assert row.tfsep.in_tfsep and in_tfsep <= {"nothing recomputed"}
            shape = tuple(row.shared["prior"]["event_shape"])
            small = {"width": 2, "num_layers": 1, "num_steps": 2}
            assert priors.build(**{**row.shared["prior"], **small}).event_shape == shape
        assert (row.kind == COMMAND) == (row.tfsep.call == "")


def test_the_command_fills_its_page_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "speed.json").write_text(json.dumps(RECORDS), encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- table speed memory -->\nold\n<!-- end -->\nb\n", encoding="utf-8")
    assert speed.main(["--keep", f"--output={tmp_path}", f"--page={page}"]) == 0
    lines = page.read_text(encoding="utf-8").splitlines()
    assert lines[:2] == ["a", "<!-- table speed memory -->"] and lines[-2:] == ["<!-- end -->", "b"]
    assert "old" not in lines and len(lines) == 4 + 2 + len(MEMORY)
    assert "| bin/separate, 30 s |" in capsys.readouterr().out
    assert (tmp_path / "speed.md").read_text(encoding="utf-8").startswith("| row | reference |")
    assert (tmp_path / "speed.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--only=nothing"], "--only must leave a row"),
        (["--repeats=0"], "--repeats be at least 1"),
        (["--variant=[1]"], "a variant is a JSON object"),
        (["--variant={"], "a variant is a JSON object"),
    ],
)
def test_bad_requests_are_refused(
    arguments: list[str], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert speed.main([*arguments, f"--output={tmp_path}"]) != 0
    assert complaint in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_mark_that_names_no_table_is_refused() -> None:
    with pytest.raises(speed.InputError, match="times, memory, commands, targets, scaling, gpu, got 'colours'"):
        speed.filled("<!-- table speed colours -->\n<!-- end -->\n", RECORDS)


def test_records_from_elsewhere_have_a_table_of_their_own() -> None:
    elsewhere = [{**RECORD, "row": "on a GPU"}, {**RECORD, "row": "dilated convolution, xla, float32, 4 to 8"}]
    page = speed.filled("<!-- table speed gpu -->\nold\n<!-- end -->\n", RECORDS, elsewhere)
    assert [line.split(" | ")[0] for line in page.splitlines()[3:-1]] == ["| on a GPU"]
    assert "old" not in page and "GPU" not in parts(RECORDS)["times"]


def test_rows_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert speed.main(["--list", "--only=SGLD"]) == 0
    assert capsys.readouterr().out.split("\n")[:3] == ["SGLD, 2 sources", "SGLD, 4 sources", "SGLD, 8 sources"]
