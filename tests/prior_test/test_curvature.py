"""Curvature and paths of densities whose answers are known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tfsep.evaluation.prior_scorer import PriorScorer, scorers_of
from tfsep.evaluation.prior_set import PriorSet
from tfsep.prior_test import curvature


def test_the_curvature_of_a_gaussian_is_its_sharpest_direction(gaussians: PriorSet, data: Any) -> None:
    scorer, prior = PriorScorer("sine", gaussians.priors["sine"]), gaussians.priors["sine"]
    found = curvature.curvature(scorer, gaussians.events(data.excerpts("sine", 3)), 0.5, 0)
    smallest = float(prior.power.numpy().min())
    assert found.shape == (3,)
    np.testing.assert_allclose(found, -1.0 / (smallest + 0.25), rtol=0.02)


def test_paths_of_a_gaussian_are_parabolas(gaussians: PriorSet, flows: PriorSet, data: Any) -> None:
    rows = curvature.study(flows, scorers_of(flows.priors), data, 8, (0.1, 20.0))
    assert [(row["source"], row["sigma"]) for row in rows] == [("sine", 0.1), ("square", 0.1)]
    row = rows[0]
    assert row["curvature"] == pytest.approx(0.01 / (0.36 + 0.01), rel=1e-3)
    decibels, variance = row["paths"]["decibels"], 0.37
    power = np.mean(data.excerpts("sine", 8) ** 2)
    louder = decibels["nats"][-1] - decibels["nats"][3]
    assert louder == pytest.approx(-0.5 * power * (10 ** (6 / 10) - 1) / variance, rel=0.05)
    line = row["paths"]["line"]["nats"]
    assert row["dip"] == pytest.approx(0.5 * (line[0] + line[-1]) - min(line)) and row["dip"] <= 0.05
    assert abs(row["latent_dip"]) < abs(line[4] - line[0])
    assert set(row["paths"]) == {"line", "latent", "delay", "cents", "decibels"}
    plain = curvature.study(gaussians, scorers_of(gaussians.priors), data, 4, (0.1,))[0]
    assert "latent" not in plain["paths"] and plain["latent_dip"] is None
    mean = (rows[0]["curvature"] + rows[1]["curvature"]) / 2
    assert curvature.mean_curvatures(rows) == [[0.1, pytest.approx(mean)]]


def test_a_path_between_latents_has_its_ends(flows: PriorSet, data: Any) -> None:
    scorer = PriorScorer("sine", flows.priors["sine"])
    first, second = (flows.events(data.excerpts("sine", 4)[part]) for part in (slice(0, 2), slice(2, 4)))
    path = list(curvature.between_latents(scorer, first, second, 0.1))
    np.testing.assert_allclose(path[0], first, atol=1e-5)
    np.testing.assert_allclose(path[-1], second, atol=1e-5)
    np.testing.assert_allclose(path[4], (first + second) / math.sqrt(2.0), atol=1e-5)
