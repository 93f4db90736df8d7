"""The table of samplers: two sources are all pairs, masks and truth are starts, learned priors keep to their levels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality import samplers
from benchmarks.quality.samplers import MASKS, NOISE, TRUTH, Row
from tfsep import priors
from tfsep.data import toy

SEGMENT = 64
SHORT = {"num_levels": 2, "num_restarts": 1, "jit_compile": False}


def test_every_pair_gets_its_share_of_the_mixtures() -> None:
    groups = samplers.examples(2, 12, SEGMENT, 0)
    assert [group for group, _ in groups] == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    assert all(sources.shape == (2, 2, SEGMENT) for _, sources in groups)
    (everything,) = samplers.examples(4, 12, SEGMENT, 0)
    assert everything[1].shape == (12, 4, SEGMENT)
    mixture, sources = toy.mixtures(12, SEGMENT, 16000, 0)
    np.testing.assert_allclose(everything[1].mean(1), mixture, atol=1e-6)
    np.testing.assert_array_equal(everything[1], sources)


@pytest.mark.slow
def test_a_row_says_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samplers, "_TRACE", {"num_draws": 4, "num_chains": 2, "thin": 1})
    row = Row("Langevin", "langevin", SHORT, num_sources=2)
    found = samplers.measure(row, "ideal", "toy", 6, SEGMENT, 0)
    assert (found["priors"], found["num_sources"], found["start"], found["num_mixtures"]) == ("ideal", 2, NOISE, 6)
    assert len(found["groups"]) == 6 and "sine + triangle" in found["groups"]
    assert found["mean_si_sdri"] == pytest.approx(np.mean(list(found["groups"].values())))
    near = samplers.measure(Row("Langevin", "langevin", SHORT, TRUTH), "ideal", "toy", 4, SEGMENT, 0)
    assert near["mean_si_sdri"] > found["mean_si_sdri"] and near["split_r_hat"] > 0.0
    header, _, first, second = samplers.table([found, near]).splitlines()
    assert header.count("|") == first.count("|") == second.count("|") == 13
    assert first.startswith("| ideal | 2 | Langevin | noise | 6 |") and first.endswith("| - | - | - |")


@pytest.mark.slow
def test_masks_are_a_start_for_the_priors_of_a_model() -> None:
    found = [
        samplers.measure(Row(str(kind), kind, settings, MASKS), "toy-score", "toy", 2, SEGMENT, 0)
        for kind, settings in ((None, {}), ("langevin", {}))
    ]
    assert [each["priors"] for each in found] == ["score (toy-score)"] * 2
    assert [each["segment"] for each in found] == [2048] * 2
    assert found[0]["cpu_seconds"] == 0.0 < found[1]["cpu_seconds"]
    assert min(each["mean_si_sdri"] for each in found) > 8.0


def test_learned_priors_keep_to_their_noise_levels() -> None:
    small = {"length": SEGMENT, "squeeze": 4, "num_levels": 1, "num_steps": 1, "width": 8, "num_layers": 1}
    flow = priors.build("glow", sigma_range=(0.04, 0.5), **small)
    assert samplers.settings_of(Row("Langevin", "langevin"), "any", [flow])["largest_sigma"] == 0.5
    found = samplers.settings_of(Row("soft", "langevin", samplers._PUBLISHED), "any", [flow])
    assert (found["largest_sigma"], found["smallest_sigma"], found["largest_amplitude"]) == (0.5, 0.04, 1.0)
    assert (
        samplers.settings_of(Row("soft", "langevin", {"largest_sigma": 9.0}), "ideal", [flow])["largest_sigma"] == 9.0
    )


def test_samplers_of_other_names_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert samplers.main(["--only=nothing", f"--output={tmp_path}"]) == 0
    assert capsys.readouterr().out.startswith("| priors | sources | sampler | start |")
