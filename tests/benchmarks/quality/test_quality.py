"""The one table: which rows the model folders give, and how it is written."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.quality import quality, toy_samplers

COARSE = {"kind": "ideal_toy", "length": 64, "num_phases": 4, "num_rounds": 0, "sample_rate": 16000}
GIBBS = {"kind": "gibbs", "num_levels": 1, "num_restarts": 1}
MASKS = {"kind": "amortised", "weights": "posteriors/amortised.safetensors"}


def write(folder: Path, *posteriors: dict[str, Any], sources: tuple[str, ...] = ("sine", "square")) -> Path:
    description = {
        "format": 1,
        "sources": list(sources),
        "sample_rate": 16000,
        "segment": 64,
        "gains": [1 / len(sources)] * len(sources),
        "priors": {name: {**COARSE, "source": name} for name in sources if name != "drums"},
        "posteriors": list(posteriors),
    }
    folder.mkdir()
    (folder / "model.json").write_text(json.dumps(description))
    return folder


def names(*arguments: str) -> list[str]:
    return [row.name for row in quality.rows(quality.parser().parse_args(list(arguments)))]


def test_rows_are_what_the_folders_offer(tmp_path: Path) -> None:
    composition = {"kind": "composition", "stages": ["amortised", GIBBS], "keep": 2}
    one = write(tmp_path / "one", MASKS, GIBBS, composition)
    two = write(tmp_path / "two")
    songs = write(tmp_path / "band", {**MASKS}, sources=("drums", "bass"))
    found = names(f"--model={one}", f"--model={songs}", f"--priors={two}", f"--supervised={one}", "--songs=held")
    mine = [name for name in found if name.startswith("one ") and "(true pairs)" not in name]
    # What uses priors can take those of another folder.
    assert mine == [
        "one - amortised toy",
        "one - amortised toy-free",
        "one ideal_toy gibbs toy",
        "one ideal_toy gibbs toy-free",
        "one ideal_toy gibbs toy",
        "one ideal_toy gibbs toy-free",
        "one ideal_toy composition toy",
        "one ideal_toy composition toy-free",
        "one ideal_toy composition toy",
        "one ideal_toy composition toy-free",
    ]
    assert "one (true pairs) - amortised toy" in found
    assert [name for name in found if name.startswith("band")] == ["band - amortised examples", "band - amortised held"]
    samplers = [name.removeprefix("sampler ") for name in found if name.startswith("sampler ")]
    # The folder's priors are ideal ones too; no latents in either.
    each = [name for name in toy_samplers.SAMPLERS if name != "latent"]
    assert samplers == [f"{kind} {name} toy" for kind in ("ideal", "ideal_toy") for name in each]


def test_mixtures_of_some_toy_classes_are_data_of_their_own() -> None:
    assert quality.data_label("toy", ["sine", "sawtooth", "square", "triangle"]) == "toy"
    assert quality.data_label("toy-free", ["sawtooth", "sine"]) == "toy-free: sawtooth, sine"
    assert quality.data_label("songs/rendered", ["drums", "bass"]) == "rendered"


def test_baselines_are_asked_where_they_apply(tmp_path: Path) -> None:
    assert quality.applies("nmf", "toy-free") and not quality.applies("hpss", "toy")
    assert not quality.applies("nmf", str(tmp_path)) and quality.applies("hpss", str(tmp_path))
    (tmp_path / "train").mkdir()
    assert quality.applies("nmf", str(tmp_path))


def test_rows_with_priors_are_limited_and_the_table_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = write(tmp_path / "one", GIBBS)
    out = tmp_path / "results"
    arguments = [f"--model={one}", "--only=one", "--only=toy", "--limit=2", "--num_mixtures=9", f"--output={out}"]
    assert quality.main([*arguments, "--seed=1"]) == 0
    said = capsys.readouterr()
    assert "one ideal_toy gibbs toy: 2 mixtures" in said.err
    assert (out / "quality.md").read_text() == said.out
    records = json.loads((out / "quality.json").read_text())
    assert [(record["data"], record["num_mixtures"]) for record in records] == [
        ("toy: sine, square", 2),
        ("toy-free: sine, square", 2),
    ]
    lines = said.out.splitlines()
    assert any(line.startswith("| toy: sine, square | one | ideal_toy | gibbs | 2 |") for line in lines)
    mask = "| toy: sine, square | ideal ratio mask | - | - | 2 |"
    assert any(line.startswith(mask) and line.endswith("| - |") for line in lines)
    means = [float(line.split("|")[6]) for line in lines if line.startswith("| toy: sine, square |")]
    assert len(means) == 3 and means == sorted(means, reverse=True)


def test_a_sampler_that_runs_away_is_a_row_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = write(tmp_path / "one", GIBBS)
    args = quality.parser().parse_args([f"--model={one}", "--limit=2"])
    row = next(quality.rows(args))
    separator = row.load()
    monkeypatch.setattr(separator.model.posterior, "sample", lambda mixture, *_, **__: np.full((1, 2, 2, 64), np.nan))
    lost = dataclasses.replace(row, load=lambda: separator)
    record = quality.measure(lost, args, [])
    assert record["failed"] == "the model's stems must be finite, got NaN or infinity"
    line = quality.table([record, quality.measure(row, args, [])]).splitlines()[-1]
    assert line == f"| toy: sine, square | one | ideal_toy | gibbs | 2 | failed: {record['failed']} | - | - | - | - |"


def test_a_denoiser_that_remembers_is_told_from_one_that_does_not() -> None:
    def label(**prior: Any) -> str:
        return quality._kinds_of_priors({"priors": {"sine": prior, "square": prior}})

    assert label(kind="score", network="spectral_gain") == "score"
    assert label(kind="score", network="retrieval") == "score (retrieval)"
    assert quality._kinds_of_priors({"priors": {}}) == "-"
