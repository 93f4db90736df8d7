"""Samplers with any priors: which suit, and noise levels that the priors know."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.quality import toy_samplers
from tfsep import priors

SMALL = {"length": 64, "squeeze": 4, "num_levels": 1, "num_steps": 1, "width": 8, "num_layers": 1}
IDEAL = {"length": 64, "num_phases": 4, "num_rounds": 0, "sample_rate": 16000}


@pytest.fixture(scope="module")
def flow() -> Any:
    return priors.build("glow", sigma_range=(0.02, 0.5), **SMALL)


@pytest.fixture(scope="module")
def ideal() -> Any:
    return priors.build("ideal_toy", source="sine", **IDEAL)


def test_latents_need_flows_gibbs_sampling_exact_draws_and_particles_densities(flow: Any, ideal: Any) -> None:
    names = ("latent", "stochastic_gibbs", "gibbs", "particles")
    assert [toy_samplers.suits(name, [flow]) for name in names] == [True, False, True, True]
    assert [toy_samplers.suits(name, [ideal]) for name in names] == [False, True, True, True]
    score = priors.build("score", length=64, width=4, num_blocks=1, local_width=0, sigma_range=(0.01, 8.0))
    assert [toy_samplers.suits(name, [score]) for name in names] == [False, False, True, False]
    plane = priors.build("glow", "log_stft", event_shape=(4, 8, 1), squeeze=2, num_levels=1, num_steps=1, width=8)
    assert not toy_samplers.suits("gibbs", [plane])


@pytest.mark.parametrize(
    "name", sorted(set(toy_samplers.SAMPLERS) - {"stochastic_gibbs", "composition", "langevin_from_masks"})
)
def test_every_sampler_is_built_within_what_a_prior_knows(name: str, flow: Any) -> None:
    from tfsep import posteriors

    sampler = posteriors.build(priors=[flow, flow], **toy_samplers.fitted(toy_samplers.SAMPLERS[name], [flow, flow]))
    if name != "latent":
        assert max(sampler.sigmas) <= 0.5 + 1e-6 and min(sampler.sigmas[sampler.sigmas > 0]) >= 0.02 - 1e-6


def test_levels_of_a_prior_that_knows_all_stay_as_they_are(ideal: Any) -> None:
    found = toy_samplers.fitted(toy_samplers.SAMPLERS["composition"], [ideal])
    assert found["stages"][0] == "amortised"
    kept = {name: value for name, value in found["stages"][1].items() if name != "largest_amplitude"}
    assert kept == toy_samplers.SAMPLERS["composition"]["stages"][1]


def test_a_sampler_separates(tmp_path: Path, ideal: Any) -> None:
    about = {
        **{"format": 1, "sources": ["sine", "square"], "sample_rate": 16000, "segment": 64, "gains": [0.5, 0.5]},
        **{"priors": {}, "posteriors": []},
    }
    (tmp_path / "model.json").write_text(json.dumps(about))
    pair = [ideal, priors.build("ideal_toy", source="square", **IDEAL)]
    separator = toy_samplers.separator({"kind": "gibbs"}, pair, str(tmp_path))
    wave = np.random.default_rng(0).normal(size=64).astype(np.float32)
    stems = separator(wave, 16000)
    assert set(stems) == {"sine", "square"}
    np.testing.assert_allclose(sum(stems.values()), wave, atol=1e-5)
