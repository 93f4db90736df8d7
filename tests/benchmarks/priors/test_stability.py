"""The table of the guards: what a training curve gives, and that every row switches off what it names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.priors import stability

REPOSITORY = Path(__file__).resolve().parents[3]


def line(step: int, loss: float | None, norm: float | None = 1.0, restores: float = 0.0) -> dict[str, Any]:
    return {"step": step, "loss": loss, "gradient_norm": norm, "restores": restores}


def test_a_curve_is_summed_up() -> None:
    lines = [line(1, 2.0), line(2, 5.0, 30.0), line(3, None, None), line(4, 1.0, None, 2.0)]
    lines.append({"step": 4, "validation/nats_per_dim_wave": 1.0})
    expected = {"worst_loss": 5.0, "largest_gradient_norm": 30.0, "steps_not_finite": 2, "restores": 2, "steps": 4}
    assert stability.summary(lines) == expected


def test_a_training_that_died_at_once_has_no_numbers() -> None:
    assert stability.summary([]) == {
        "worst_loss": None, "largest_gradient_norm": None, "steps_not_finite": 0, "restores": 0, "steps": 0
    }  # fmt: skip


def test_the_table_shows_what_was_not_finite() -> None:
    record = {"row": "bare", "learning_rate": 0.5, "nats_per_dim_wave": None}
    record |= stability.summary([line(7, None, None)])
    last = stability.table([{**record, "gave_up": True}]).splitlines()[-1]
    assert last == "| bare | 0.5 | not finite | not finite | not finite | 1 | 0 | gave up at step 7 |"


@pytest.mark.parametrize("row", stability.ROWS, ids=lambda row: row.name)
def test_a_row_names_settings_that_exist(row: stability.Row) -> None:
    from tfsep import priors
    from tfsep.training.task import FitSettings

    FitSettings(**{**stability._FIT, **row.fit})
    assert set(row.prior) <= set(priors.parameters("glow"))


def test_the_kept_results_are_those_of_the_rows() -> None:
    kept = json.loads((REPOSITORY / "benchmarks/results/stability.json").read_text(encoding="utf-8"))
    assert [record["row"] for record in kept] == [row.name for row in stability.ROWS]
    written = (REPOSITORY / "benchmarks/results/stability.md").read_text(encoding="utf-8")
    assert written == stability.table(kept) + "\n"
    page = (REPOSITORY / "docs/training.md").read_text(encoding="utf-8")
    assert all(row in page for row in written.splitlines())
