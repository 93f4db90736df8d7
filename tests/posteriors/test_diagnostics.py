"""Diagnostics on chains that have mixed, on chains that are stuck, and against the formula of R-hat."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep import posteriors, priors
from tfsep.errors import InputError
from tfsep.posteriors.diagnostics import Trace, trace

MIXTURE = np.array([[1.0, -2.0, 0.5, 0.8]], np.float32)
ADJUSTED = {
    "largest_sigma": 0.5,
    "smallest_sigma": 0.5,
    "num_levels": 1,
    "num_steps": 20,
    "final_denoise": False,
    "metropolis": True,
    "exact": False,
    "preconditioned": True,
}


def gaussians() -> list[Any]:
    return [priors.build("gaussian", length=4, variances=variance) for variance in (0.5, 0.1)]


@pytest.mark.slow
def test_longer_steps_are_taken_less_often_and_chains_agree() -> None:
    acceptance = []
    for delta in (0.05, 0.4):
        sampler = posteriors.build("langevin", gaussians(), delta=delta, **ADJUSTED)
        found = trace(sampler, MIXTURE, 40, 8, (0, 0), thin=8)
        assert found.states.shape == (40, 8, 1, 2, 4) and found.acceptance.shape == (8, 1)
        acceptance.append(float(np.mean(found.acceptance)))
        assert np.max(found.split_r_hat()) < 1.2
        assert 40 < np.mean(found.effective_sample_size()) < 40 * 8 * 2
    assert 0.95 < acceptance[0] <= 1.0 and 0.2 < acceptance[1] < 0.9


def test_chains_in_two_modes_do_not_agree(coin_priors: Any) -> None:
    sampler = posteriors.build("stochastic_gibbs", coin_priors((1.0, 1.0), 4), num_levels=4)
    found = trace(sampler, np.zeros((1, 4), np.float32), 10, 8, (0, 0))
    np.testing.assert_array_equal(found.acceptance, 1.0)
    noise = 0.01 * np.random.default_rng(0).normal(size=found.states.shape)
    assert np.min(Trace(found.states + noise, found.acceptance).split_r_hat()) > 2.0


def test_independent_draws_are_worth_themselves_and_split_r_hat_is_its_formula() -> None:
    states = np.random.default_rng(0).normal(size=(400, 4, 1, 1, 3)).astype(np.float32)
    found = Trace(tf.constant(states), tf.ones([4, 1]))
    np.testing.assert_allclose(found.effective_sample_size(), 1600, rtol=0.25)
    halves = states.reshape(2, 200, 4, 3).transpose(1, 0, 2, 3).reshape(200, 8, 3)
    within, between = halves.var(0, ddof=1).mean(0), halves.mean(0).var(0, ddof=1)
    expected = (9 / 8) * (199 / 200 * within + between) / within - 199 / (200 * 8)
    np.testing.assert_allclose(found.split_r_hat()[0, 0], expected, rtol=1e-3)


@pytest.mark.parametrize(("num_draws", "num_chains", "thin"), [(3, 2, 1), (4, 1, 1), (4, 2, 0)])
def test_too_short_a_trace_is_refused(num_draws: int, num_chains: int, thin: int) -> None:
    sampler = posteriors.build("langevin", gaussians(), delta=0.05, **ADJUSTED)
    with pytest.raises(InputError, match="a trace needs num_draws of at least 4, .* got"):
        trace(sampler, MIXTURE, num_draws, num_chains, (0, 0), thin=thin)
