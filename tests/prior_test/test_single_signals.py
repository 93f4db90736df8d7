"""Denoising one signal with densities whose posteriors are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfsep.evaluation.prior_scorer import PriorScorer, scorers_of
from tfsep.evaluation.prior_set import PriorSet
from tfsep.prior_test import single_signals

LENGTH = 64


def test_langevin_draws_from_the_posterior_of_a_gaussian(flows: PriorSet) -> None:
    """Clean events of variance 0.36 in noise of variance 1: mean 0.265 y, variance 0.265."""
    scorer = PriorScorer("sine", flows.priors["sine"])
    rng = np.random.default_rng(0)
    clean = 0.6 * rng.normal(size=(256, LENGTH, 1))
    noised = clean + rng.normal(size=clean.shape)
    drawn = single_signals.langevin(scorer, noised, 1.0, 0)
    shrink = 0.36 / 1.36
    residual = drawn - shrink * noised
    assert np.var(residual) == pytest.approx(shrink, rel=0.1)
    assert abs(np.mean(residual * noised)) < 0.05
    mean = single_signals.gain(shrink * noised, noised, clean)
    assert 2.0 < mean - single_signals.gain(drawn, noised, clean) < 3.5


def test_gains_are_tabled_for_the_noise_levels_of_a_prior(gaussians: PriorSet, data: Any) -> None:
    rows = single_signals.table(gaussians, scorers_of(gaussians.priors), data, 8, (1.0, 0.01, 50.0))
    assert [(row["source"], row["sigma"]) for row in rows] == [("sine", 1.0), ("square", 1.0)]
    power = np.mean(data.excerpts("square", 8) ** 2, axis=1)
    assert rows[1]["snr"] == pytest.approx(np.mean(10 * np.log10(power)), abs=1e-4)
    for row in rows:
        assert row["tweedie"] > row["langevin"]
        assert row["tweedie"] == pytest.approx(row["wiener"], abs=0.5)
