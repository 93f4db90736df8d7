"""The table of what flows' scores are worth to a sampler: its rows, and that they are measured as it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.priors import flow_scores
from tfsep import config, priors
from tfsep.config import files
from tfsep.errors import InputError
from tfsep.models.store import save_model
from tfsep.training.task import FitSettings

SIZES = {"num_examples": 4, "num_pairs": 1, "num_mixtures": 1}
SMALL: dict[str, Any] = {
    **{"kind": "nice", "domain": "wave", "length": 2048, "squeeze": 16, "num_steps": 2, "width": 4, "num_layers": 1},
    **{"sigma_range": (0.01, 8.0), "ordered": True, "score_of": "conditionals"},
}


def saved(folder: Path) -> None:
    made = {source: (SMALL, priors.build(**SMALL)) for source in flow_scores.FOUR}
    save_model(folder, flow_scores.FOUR, 16000, 2048, (0.25,) * 4, made)


@pytest.mark.parametrize("flow", flow_scores.FLOWS, ids=lambda flow: flow.name)
def test_a_row_is_a_gin_file_of_the_toy_with_the_scores_it_names(flow: flow_scores.Flow) -> None:
    assert files.find(f"gin/{flow.name}.gin").is_file()
    config.register()
    config.parse([f"gin/{flow.name}.gin"], [f"prior/fit.{name}={value!r}" for name, value in flow_scores.SHORT.items()])
    bindings = config.bindings()
    config.parse([])
    kind = bindings["train.prior"].removeprefix("@").removesuffix("()")
    assert (bindings.get(f"{kind}.score_of") == "'conditionals'") == (flow_scores.CONDITIONALS in flow.scores)
    assert bindings["train.data"] == "@toy()" and bindings["prior/fit.num_steps"] == str(flow_scores.SHORT["num_steps"])
    FitSettings(**flow_scores.SHORT)
    FitSettings(**flow_scores.SHORT_MATCHING)


@pytest.mark.slow
def test_both_scores_of_an_untrained_flow_are_those_of_a_white_gaussian(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    saved(tmp_path / "runs" / "nice_ordered" / "model")
    few = {"num_levels": 2, "num_restarts": 1}
    monkeypatch.setattr(flow_scores, "COLD", {**flow_scores.COLD, **few})
    monkeypatch.setattr(flow_scores, "WARM", {**flow_scores.WARM, **few})
    arguments = [f"--{name}={value}" for name, value in SIZES.items()]
    folders = [f"--runs={tmp_path / 'runs'}", f"--output={tmp_path}"]
    assert flow_scores.main([*arguments, *folders, "--only=nice_ordered", "--only=nice_wave"]) == 0
    captured = capsys.readouterr()
    assert "nice_wave, gradient: left out" in captured.err
    records = json.loads((tmp_path / "flow_scores.json").read_text())
    assert [record["score"] for record in records] == ["gradient", "conditionals", "-"]
    np.testing.assert_allclose(records[0]["rmse"], records[1]["rmse"], rtol=1e-4)
    assert len(records[0]["pairs"]) == 6 and records[0]["two_sources"] == pytest.approx(
        np.mean(list(records[0]["pairs"].values()))
    )
    assert (tmp_path / "flow_scores.md").read_text() == flow_scores.table(records) + "\n" == captured.out


def test_what_cannot_be_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert flow_scores.main([f"--runs={tmp_path}", f"--output={tmp_path}"]) != 0
    assert "--runs must hold a trained flow, or --train be given" in capsys.readouterr().err
    assert flow_scores.main(["--num_pairs=0"]) != 0
    assert "--num_pairs must be at least 1, got 0" in capsys.readouterr().err
    plain = priors.build(**{**SMALL, "ordered": False, "score_of": "gradient"})
    with pytest.raises(InputError, match="must be a flow with conditionals"):
        flow_scores.set_score(plain, "conditionals")


def test_the_table_has_the_order_of_the_flows_and_a_filter_and_masks_behind() -> None:
    row = {"sigmas": [1.0], "wiener": [0.4], "two_sources": 1.0, "four_from_noise": 2.0, "four_from_masks": 3.0}
    records = [
        {"flow": "masks of toy alone", "score": "-", "four_from_masks": 21.0},
        {"flow": "glow_wave", "score": "score-matched gradient", "rmse": [0.3], **row},
        {"flow": "nice_wave", "score": "gradient", "rmse": [None], **row},
    ]
    assert flow_scores.table(records).splitlines()[2:] == [
        "| `nice_wave` | gradient | - | 1.0 | 2.0 | 3.0 |",
        "| `glow_wave` | score-matched gradient | 0.300 | 1.0 | 2.0 | 3.0 |",
        "| Wiener filter | - | 0.400 | - | - | - |",
        "| masks of toy alone | - | - | - | - | 21.0 |",
    ]
