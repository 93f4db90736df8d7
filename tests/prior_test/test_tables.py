"""Tables of prior tests, and the page that they fill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.priors import prior_page
from tfsep.errors import InputError
from tfsep.prior_test import tables
from tfsep.prior_test.record import current, read, read_songs

PAIR = ("sine", "square")
MEANS = {"sine": {"sine": 1.0, "square": -2.0}, "square": {"sine": 0.5, "square": -1.0}}
COUNTS = {"sine": 3, "square": 1}
SHARES = {
    "accuracy": 0.75, "mean_auroc": 0.9, "accuracy_per_source": {"sine": 1.0, "square": 0.5},
    "auroc": {"sine": 0.95, "square": 0.85}, "confusion": dict.fromkeys(PAIR, COUNTS),
}  # fmt: skip
PATHS = {path: {"at": [0.0, 5.0], "nats": [1.0, -2.5]} for path in ("delay", "cents", "decibels")}

SONGS = {
    "A - B": {
        training: {
            **SHARES,
            "scores": {"likelihood_ratio": SHARES, "score_norms": {**SHARES, "accuracy": share}},
            **({"reference_classifier": {"excerpts": SHARES}} if training == "contrastive" else {}),
        }
        for training, share in (("none", 0.5), ("contrastive", 0.8))
    }
}


def record() -> dict[str, Any]:
    row = {"sigma": 0.1, "curvature": 2.0, "dip": 0.5, "latent_dip": None, "paths": PATHS}
    return {
        "model": "m", "kinds": dict.fromkeys(PAIR, "glow"), "data": "toy", "num_examples": 4, "num_small": 2, "seed": 0,
        "domain": "wave", "sigma": 0.02, "log_prob": MEANS,
        "by_sigma": [{"sigma": None, **SHARES}, {"sigma": 0.02, **SHARES}], "ideal": {"sigma": 0.02, **SHARES},
        "out_of_distribution": {"silence": dict.fromkeys(PAIR, {"mean": -1.0, "auroc": 0.25})},
        "confusion": SHARES["confusion"], "accuracy": 0.75, "mean_auroc": 0.9,
        "scores": {
            "log_prob": {**SHARES, "silence_is_likelier": ["sine"]},
            "likelihood_ratio": {**SHARES, "silence_is_likelier": []},
        },
        "denoising": {
            "sigmas": [1.0, 0.5], "mean": {"prior": [0.4, 0.3], "wiener": [0.6, 0.4], "ideal": [0.1, 0.1]},
            "ratio_to_ideal": {"prior": [4.0, 3.0]},
        },
        "without_log_det": {"by_weight": [{"weight": 0.25, "gibbs_excess": {"sine": -1.0, "square": 0.5}, **SHARES}]},
        "curvature": {"priors": [row], "ideal": [], "mean_curvature": {"priors": [[0.1, 2.0]], "ideal": []}},
        "single": {"rows": [{"sigma": s, "tweedie": 6.0 * s, "langevin": 3.0, "wiener": 5.0} for s in (1.0, 0.5)]},
        "heat_residual": {"sine": [[0.1, -0.004, 0.3], [0.5, -0.01, -0.01]]},
        "heat_equation": {
            "num_events": 4, "num_probes": 4, "relative": {"sine": [[0.1, 0.98, 0.01], [0.5, 0.0, 0.02]]},
            "left_out": ["square"],
        },
        "reference_classifier": {"excerpts": SHARES, "posterior": "gibbs", "stems": SHARES},
    }  # fmt: skip


def test_songs_that_were_left_out_have_a_mean() -> None:
    better = {training: {**found, "accuracy": 0.85} for training, found in SONGS["A - B"].items()}
    text = tables.left_out({**SONGS, "C - D": better})
    assert "| mean of 2 | none | 80.0 % | - | - | 0.900 | 0.900 | 75.0 % | - |" in text
    assert "| mean of 2 | contrastive | 80.0 % | - | - | 0.900 | 0.900 | 80.0 % | 75.0 % |" in text


def test_every_table_says_what_the_record_holds() -> None:
    expected = {
        "cross_likelihood": "| sine | **1.000** | -2.000 |\n| square | 0.500 | **-1.000** |",
        "noise": "| ideal prior, sigma 0.02 | 75.0 % | 0.900 | 100.0 % | 50.0 % |",
        "out_of_distribution": "| silence | -1.000 (0.25) | -1.000 (0.25) |",
        "detection_scores": "| log prob | 75.0 % | 0.900 | 0.950 | 0.850 | sine |",
        "denoising": "| prior | 0.4 (4.0 x) | 0.3 (3.0 x) |\n| wiener | 0.6 | 0.4 |\n| ideal | 0.1 | 0.1 |",
        "without_log_det": "| 0.25 | 75.0 % | 0.900 | +0.500 |",
        "curvature": "| priors | 0.1 | 2 | 0.5 | - |",
        "heat_equation": (
            "| sine | 0.1 | -0.00400 | +0.30000 | 0.980 | 0.010 |\n"
            "| sine | 0.5 | -0.01000 | -0.01000 | 0.000 | 0.020 |\n| square | - | - | - | - | - |"
        ),
        "single": "| 1 | 6.0 | 3.0 | 5.0 |",
        "confusion": "| sine | 3 | 1 |\n| square | 3 | 1 |",
        "shifts": "| 5 samples later | 3.5 |\n| 5 cents higher | 3.5 |\n| 5 dB louder | 3.5 |",
        "summary": "| 75.0 % | 0.900 | 0.900 | 2 | 0.75 | 3.0 |",
        "stems": "| stem (gibbs) \\ classified as | sine | square |\n|---|---|---|\n| sine | 3 | 1 |\n| square",
    }
    assert set(expected) == set(tables.TABLES)
    for name, text in expected.items():
        assert text in tables.TABLES[name](record()), name
    song = "| A - B | contrastive | 75.0 % | 100.0 % | 50.0 % | 0.900 | 0.900 | 80.0 % (score norms) | 75.0"
    assert song in tables.left_out(SONGS)


def test_records_of_earlier_versions_are_read(tmp_path: Path) -> None:
    old: dict[str, Any] = {"scores": {}, "cut_samples": 4, "published": {"readings": []}}  # alias
    old |= {"referee": {"cuts": SHARES, "stems": {}}}  # alias
    old |= {"peakedness": {"priors": [{"curvature": 1.0}], "curvature": {"priors": [[0.1, 1.0]]}}}  # alias
    new = {
        "scores": {},
        "excerpt_samples": 4,
        "without_log_det": {"by_weight": []},
        "reference_classifier": {"excerpts": SHARES, "stems": {}},
        "curvature": {"priors": [{"curvature": 1.0}], "mean_curvature": {"priors": [[0.1, 1.0]]}},
    }
    assert current(old) == new == current(new)
    assert current(record()) == record()
    (tmp_path / "one.json").write_text(json.dumps(old))
    (tmp_path / "songs.json").write_text(json.dumps({"songs": {"A": {"likelihood": old}}}))
    assert read(tmp_path / "one.json") == new
    assert read_songs(tmp_path / "songs.json") == {"A": {"likelihood": new}}
    assert read(tmp_path / "none.json") == read_songs(tmp_path / "none.json") == {}


def test_a_page_is_filled_and_filled_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    marks = ("A\n<!-- table toy single -->", "<!-- table toy noise -->", "B\n<!-- table songs noise -->\nold")
    page.write_text("".join(f"\n{mark}\n<!-- end -->\n" for mark in marks))
    (tmp_path / "prior_test_toy.json").write_text(json.dumps(record()))
    arguments = ["--keep", f"--results={tmp_path}", f"--page={page}"]
    assert prior_page.main(arguments) == 0
    first = page.read_text()
    assert "Model `m` (glow) on toy, 4 excerpts a source, seed 0, domain wave, headline at sigma 0.02." in first
    assert "(glow) on toy, 2 excerpts a source" in first
    assert "(not measured: run" in first and "old" not in first and "\nB\n" in first
    assert prior_page.main(arguments) == 0 and page.read_text() == first
    page.write_text("<!-- table toy unknown -->\n<!-- end -->")
    assert prior_page.main(arguments) == 2
    assert "got 'unknown'" in capsys.readouterr().err
    assert prior_page.main(["--keep", f"--page={tmp_path / 'absent.md'}"]) == 2
    page.write_text("<!-- table left_out left_out -->\n<!-- end -->")
    (tmp_path / "prior_test_left_out.json").write_text(json.dumps({"songs": SONGS}))
    assert prior_page.main(arguments) == 0
    assert "1 real songs, each tested under priors that were not trained on it." in page.read_text()


def test_records_of_stems_need_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "page.md").write_text("")
    arguments = [f"--results={tmp_path}", f"--page={tmp_path / 'page.md'}", "--only=stems"]
    assert prior_page.main(arguments) == 2
    assert "the record 'stems' needs --songs, a folder of stems" in capsys.readouterr().err


def test_figures_are_shown_where_they_have_been_drawn(tmp_path: Path) -> None:
    mark = "<!-- figure toy curvature -->\n<!-- end -->"
    (tmp_path / "page").mkdir()
    assert "makes the record `toy`)" in prior_page.filled(mark, tmp_path, tmp_path / "page")
    (tmp_path / "page" / "toy_curvature.png").write_bytes(b"")
    found = prior_page.filled(mark, tmp_path, tmp_path / "page")
    assert "![toy curvature](page/toy_curvature.png)" in found
    assert prior_page.filled(found, tmp_path, tmp_path / "page") == found
    with pytest.raises(InputError, match="path_line, curvature, heat_equation, got 'accuracy'"):
        prior_page.filled(mark.replace("curvature", "accuracy"), tmp_path, tmp_path / "page")


def test_records_of_models_that_are_not_bundled_wait_for_them(tmp_path: Path) -> None:
    bundled = set(prior_page.TOY) - {"toy_stft"}
    assert set(prior_page._jobs(None, tmp_path, None)) == bundled
    assert set(prior_page._jobs("songs", tmp_path, None)) == {*bundled, "stems"}
    with pytest.raises(InputError, match="of .*glow_bins/model: run bin/train --gin_file=gin/ablations/glow_bins.gin"):
        prior_page._jobs(None, tmp_path, ["toy_stft"])
    with pytest.raises(
        InputError, match="of .*priors/model: run python -m benchmarks.priors.stems_priors --more=DIR first"
    ):
        prior_page._jobs("songs", tmp_path, ["toy", "likelihood"])
    model = tmp_path / "stems_priors" / "priors" / "model"
    model.mkdir(parents=True)
    found = prior_page._jobs("songs", tmp_path, ["likelihood"])
    assert list(found) == ["likelihood"] and f"--model={model}" in found["likelihood"]


def test_the_committed_page_has_marks_for_known_tables_only() -> None:
    text = prior_page.PAGE.read_text(encoding="utf-8")
    marks = prior_page._MARK.findall(text)
    names = [name for _, kind, _, name, _ in marks if kind == "table"]
    figures = {(record_name, name) for _, kind, record_name, name, _ in marks if kind == "figure"}
    assert figures == {(record_name, name) for record_name, shown in prior_page.SHOWN.items() for name in shown}
    assert len(names) > 10 and set(names) == set(prior_page.TABLES)
