"""The page of results and the README's table are what their generator writes from the committed records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.quality import results_page
from benchmarks.records import RESULTS
from tfsep.errors import InputError


def test_the_page_is_made_of_the_committed_results() -> None:
    assert results_page.PAGE.read_text(encoding="utf-8") == results_page.page(RESULTS)


def test_the_readme_has_the_figures_of_the_committed_results() -> None:
    text = results_page.README.read_text(encoding="utf-8")
    assert results_page.filled(text, RESULTS) == text


def test_the_command_writes_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- table results -->\nold\n<!-- end -->\nafter\n", encoding="utf-8")
    assert results_page.main([f"--page={tmp_path / 'results.md'}", f"--readme={readme}"]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "results.md"), str(readme)]
    assert (tmp_path / "results.md").read_text(encoding="utf-8") == results_page.page(RESULTS)
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert results_page.chosen_table(RESULTS) in text


def test_a_table_of_one_data_set_has_its_rows_alone(tmp_path: Path) -> None:
    rows = ["| data | model |", "|---|---|", "| toy | a |", "| toy-free | b |", "| toy | c |"]
    (tmp_path / "quality.md").write_text("\n".join(rows) + "\n", encoding="utf-8")
    assert results_page.read_table(tmp_path, "quality") == "\n".join(rows)
    assert results_page.read_table(tmp_path, "quality", "toy") == "| model |\n|---|\n| a |\n| c |"
    with pytest.raises(InputError, match="rows of 'songs', found none"):
        results_page.read_table(tmp_path, "quality", "songs")
    with pytest.raises(InputError, match=r"must hold sources\.md"):
        results_page.read_table(tmp_path, "sources")


def test_figures_of_the_readme_come_from_the_records(tmp_path: Path) -> None:
    chosen = [
        {
            "data": row.data,
            "model": row.model,
            "priors": row.priors,
            "posterior": row.posterior,
            "mean_si_sdri": number + 0.26,
            "baselines": {"ideal_ratio_mask": {"mean_si_sdri": number + 50.04}},
        }
        for number, row in enumerate(results_page.CHOSEN)
    ]
    card = tmp_path / "card.md"
    card.write_text("Of songs:\n\n**1.2** in the mean over the four (more)\n", encoding="utf-8")
    (tmp_path / "quality.json").write_text(json.dumps(chosen), encoding="utf-8")
    rows = results_page.chosen_table(tmp_path, card).splitlines()[2:]
    assert [row.split(" | ")[-2:] for row in rows[:2]] == [["0.3", "50.0 |"], ["1.3", "51.0 |"]]
    assert rows[-1].endswith(" | 1.2 | - |") and len(rows) <= 8
    card.write_text("none\n", encoding="utf-8")
    with pytest.raises(InputError, match="found none"):
        results_page.chosen_table(tmp_path, card)
    (tmp_path / "quality.json").write_text(json.dumps(chosen[1:]), encoding="utf-8")
    with pytest.raises(InputError, match="the record toy toy wavetable particles"):
        results_page.chosen_table(tmp_path, card)


def test_a_readme_without_its_marks_is_refused() -> None:
    with pytest.raises(InputError, match="found 0"):
        results_page.filled("no table\n", RESULTS)
