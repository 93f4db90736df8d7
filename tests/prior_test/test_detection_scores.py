"""Detection scores whose values are known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tfsep.evaluation.prior_scorer import PriorScorer, noise_like, scorers_of
from tfsep.evaluation.prior_set import PriorSet
from tfsep.prior_test import cross_likelihood, detection_scores

LENGTH = 64
PAIR = ("sine", "square")


def test_an_absent_source_is_silence_with_noise(gaussians: PriorSet, data: Any) -> None:
    rows = cross_likelihood.out_of_distribution_inputs(data, (), 5)
    found = detection_scores.absent(gaussians, scorers_of(gaussians.priors), rows, 0.1, 3)
    noise = noise_like(np.zeros((5, LENGTH, 1), np.float32), 3, "silence", 0)[..., 0]
    expected = -0.5 * np.mean(noise**2, axis=1) - np.log(0.1 * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(found["silence"][:, 0], expected, rtol=1e-5)
    table, silence = {"x": np.log([[0.5, 0.5], [0.9, 0.1]])}, {"x": np.log([[0.5], [0.2]])}
    ratio = detection_scores.likelihood_ratio(table, 1, silence)["x"]
    np.testing.assert_allclose(np.exp(ratio), [[1.0, 1.0], [2.25, 0.25]])


def test_a_background_is_the_denominator(gaussians: PriorSet, data: Any, kinds: Any) -> None:
    power = np.mean([prior.power.numpy() for prior in gaussians.priors.values()], axis=0)
    tested = replace(gaussians, background=kinds["noisy"](power))
    rows = cross_likelihood.source_inputs(data, PAIR, 10)
    scorers = scorers_of(tested.priors)
    table = cross_likelihood.tables(tested, scorers, rows, [0.1], 0)[0.1]
    found = detection_scores.from_density(tested, scorers, data, rows, table, 0.1, 10)["ratio_with_background"]
    pooled = cross_likelihood.tables(tested, {"b": PriorScorer("b", tested.background)}, rows, [0.1], data.seed)[0.1]
    np.testing.assert_allclose(found["sine"], table["sine"] - pooled["sine"])
    even = detection_scores.likelihood_ratio({"x": np.log([[0.5, 0.5], [0.9, 0.1]])}, 1)["x"]
    np.testing.assert_allclose(np.exp(even), [[1.0, 1.0], [1.8, 0.2]])
