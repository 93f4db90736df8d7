"""Posterior means clipped to the largest amplitude of clean sources, which keeps learned priors from diverging."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep import posteriors
from tfsep.errors import InputError
from tfsep.priors.base import Prior

KINDS: dict[str, dict[str, Any]] = {
    "langevin": {"num_levels": 8, "num_steps": 60, "largest_sigma": 1.0, "smallest_sigma": 0.1, "delta": 3e-3},
    "diffusion": {"num_levels": 30, "smallest_sigma": 0.02, "churn": 20.0, "num_corrections": 20},
    "gibbs": {"num_levels": 60},
}


def loudest(kind: str, priors: list[Prior], bound: float | None) -> float:
    sampler = posteriors.build(kind=kind, priors=priors, largest_amplitude=bound, **KINDS[kind])
    mixture = tf.random.stateless_uniform((3, 16), (1, 2), -0.5, 0.5)
    return float(tf.reduce_max(tf.abs(sampler.sample(mixture, 1, (0, 0)))))


@pytest.mark.parametrize("kind", KINDS)
def test_a_bound_stops_what_runs_away(runaway_priors: list[Prior], kind: str) -> None:
    free, bounded = loudest(kind, runaway_priors, None), loudest(kind, runaway_priors, 0.7)
    assert not free < 1e3
    assert bounded <= 0.7 + 0.5 + 1e-4, bounded


@pytest.mark.parametrize("kind", KINDS)
def test_a_bound_that_no_mean_reaches_changes_nothing(gaussian_priors: Callable[..., list[Prior]], kind: str) -> None:
    priors = gaussian_priors(2, 16)
    mixture = tf.random.stateless_normal((2, priors[0].event_shape[0]), (3, 4))
    settings = {**KINDS[kind], "priors": priors}
    free, bounded = (
        posteriors.build(kind=kind, largest_amplitude=bound, **settings).sample(mixture, 1, (5, 6)).numpy()
        for bound in (None, 1e3)
    )
    np.testing.assert_allclose(bounded, free, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_bound_is_a_positive_number(runaway_priors: list[Prior], kind: str) -> None:
    with pytest.raises(InputError, match="largest_amplitude must be above 0, got 0"):
        posteriors.build(kind=kind, priors=runaway_priors, largest_amplitude=0.0)
