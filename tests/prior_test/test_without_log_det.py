"""Cross-likelihoods of flows whose log-determinant is left out or weighted."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tfsep.evaluation.prior_scorer import noise_like, scorers_of
from tfsep.evaluation.prior_set import PriorSet
from tfsep.prior_test import run
from tfsep.prior_test.run import PriorTestSettings, Subject

PAIR = ("sine", "square")


def test_without_its_log_determinant_a_wide_flow_wins_everything(flows: PriorSet, data: Any) -> None:
    subject = Subject(flows, scorers_of(flows.priors), data, 0.1, PriorTestSettings(num_examples=20))
    by_weight = run.study_without_log_det(subject)["by_weight"]
    left_out, _, right = by_weight
    assert [each["weight"] for each in by_weight] == [0.0, 0.25, 1.0]
    for source in PAIR:
        assert left_out["log_prob"]["square"][source] > left_out["log_prob"]["sine"][source]
    assert left_out["accuracy"] == 0.5 < right["accuracy"]
    waves = data.excerpts("sine", 20)
    noise = noise_like(waves[..., np.newaxis], data.seed, "sine")[..., 0]
    z = (waves + 0.1 * noise) / np.sqrt(0.6**2 + 0.1**2)
    latent = np.mean(-0.5 * z**2) - 0.5 * math.log(math.tau)
    det = -0.5 * math.log(0.6**2 + 0.1**2)
    for each in by_weight:
        assert each["log_prob"]["sine"]["sine"] == pytest.approx(latent + each["weight"] * det, abs=1e-5)
    assert right["gibbs_excess"]["sine"] < 1e-3


def test_a_flow_that_shrinks_breaks_the_bound_without_its_log_determinant(flows: PriorSet, data: Any) -> None:
    """Of N(0, 9 I) a flow that divides by 3 leaves N(0, I): a gain of log 3 over the noise's own density."""
    scaling: Any = type(flows.priors["sine"])
    made = {
        source: scaling(spread, flows.priors["sine"].front_end) for source, spread in zip(PAIR, (3.0, 2.0), strict=True)
    }
    subject = Subject(replace(flows, priors=made), scorers_of(made), data, 0.1, PriorTestSettings(num_examples=2))
    excess = [each["gibbs_excess"]["sine"] for each in run.study_without_log_det(subject)["by_weight"]]
    np.testing.assert_allclose(excess, [math.log(3.0), 0.75 * math.log(3.0), 0.0], atol=1e-3)
