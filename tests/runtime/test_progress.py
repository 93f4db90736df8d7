"""Samplers that report their progress: parts of a schedule are the schedule, and each is reported."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep import posteriors, priors
from tfsep.posteriors.composition import Composition
from tfsep.runtime import progress

Reports = list[tuple[str, int, int]]
KINDS: dict[str, dict[str, Any]] = {
    "langevin": {"num_steps": 2, "smallest_sigma": 0.1, "delta": 1e-3},
    "diffusion": {"num_corrections": 1, "churn": 0.5},
    "gibbs": {"num_restarts": 2},
    "particles": {"num_particles": 3, "block_levels": 2, "polish_levels": 0},
    "stochastic_gibbs": {},
}


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> Reports:
    monkeypatch.setattr(progress, "PARTS", 3)
    return []


@pytest.fixture
def pair() -> list[Any]:
    return [priors.build("gaussian", length=6, variances=1.0 / (1 + k)) for k in range(2)]


@pytest.fixture
def mixture() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, 6)).astype(np.float32)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_schedule_in_parts_gives_the_same_draws(
    kind: str, reports: Reports, mixture: np.ndarray, pair: list[Any]
) -> None:
    sampler = posteriors.build(kind, pair, num_levels=7, **KINDS[kind])
    whole = sampler.sample(mixture, 2, (1, 2))
    with progress.reporting_to(lambda *report: reports.append(report)):
        assert sampler.reports()
        parts = sampler.sample(mixture, 2, (1, 2))
    assert reports == [(kind, 3, 7), (kind, 6, 7), (kind, 7, 7)] and not sampler.reports()
    np.testing.assert_allclose(parts, whole, atol=1e-6)


def test_one_program_serves_all_parts(reports: Reports, mixture: np.ndarray, pair: list[Any]) -> None:
    sampler: Any = posteriors.build("gibbs", pair, num_levels=7, update="jacobi", jit_compile=True)
    with progress.reporting_to(lambda *report: reports.append(report)):
        sampler.sample(mixture, 1, (1, 2))
    assert len(reports) == 3 and sampler.programs.compiled.experimental_get_tracing_count() == 1


def test_within_a_graph_nothing_is_reported(reports: Reports, mixture: np.ndarray, pair: list[Any]) -> None:
    sampler = posteriors.build("gibbs", pair, num_levels=7)
    with progress.reporting_to(lambda *report: reports.append(report)):
        tf.function(lambda m: sampler.sample(m, 1, (1, 2)))(mixture)
    assert reports == []


def test_what_cannot_be_divided_runs_whole(reports: Reports, mixture: np.ndarray, pair: list[Any]) -> None:
    """Latent optimises by Adam, whose moments are carried through all levels."""
    sampler = posteriors.build("latent", pair, num_levels=7, num_steps=2)
    with progress.reporting_to(lambda *report: reports.append(report)):
        assert not sampler.reports()
        found = sampler.sample(mixture, 1, (1, 2))
    assert reports == [] and np.isfinite(found).all()


def test_a_composition_reports_its_stages(reports: Reports, mixture: np.ndarray, pair: list[Any]) -> None:
    stages = [posteriors.build("gibbs", pair, num_levels=n) for n in (3, 4)]
    both = Composition(stages)
    whole = both.sample(mixture, 1, (1, 2))
    with progress.reporting_to(lambda *report: reports.append(report)):
        assert both.reports()
        np.testing.assert_allclose(both.sample(mixture, 1, (1, 2)), whole, atol=1e-6)
    assert reports == [("gibbs", 1, 3), ("gibbs", 2, 3), ("gibbs", 3, 3)] * 2  # the second begins in its middle
