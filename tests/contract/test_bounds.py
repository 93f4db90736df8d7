r"""Gibbs' inequality catches a density that is too good to be true.

For x ~ N(0, s^2 I) and any density p, E[log p(x)] / D <= -0.5 log(2 pi e s^2), the negative entropy
of x. A dropped or weighted log-determinant breaks it. The estimate below subtracts log N(x; 0, s^2
I) example by example, which leaves minus a Kullback-Leibler divergence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

SPREADS = np.geomspace(0.003, 30.0, 8)


def excess(prior: Any, spreads: np.ndarray, sigma: float | None, num: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """Estimates of E[log p(x) - log N(x; 0, spread^2 I)] / D and their standard errors, one for each spread."""
    column = np.reshape(spreads, (-1, 1, 1))
    flat = column * np.random.default_rng(1).normal(size=(len(spreads), num, prior.dimensions))
    normal = -0.5 * (flat**2 / column**2 + np.log(2.0 * np.pi * column**2)).sum(-1)
    log_prob = prior.log_prob(flat.reshape(-1, *prior.event_shape), sigma).numpy().reshape(normal.shape)
    difference = (log_prob - normal) / prior.dimensions
    return difference.mean(1), difference.std(1) / np.sqrt(num)


@pytest.mark.parametrize("sigma", [0.05, 2.0])
def test_untrained_priors_keep_gibbs_bound(density64: Any, sigma: float) -> None:
    # These evaluate one example after the other, which takes long outside a graph.
    num = 16 if density64.kind in ("template", "wavetable") else 128
    mean, error = excess(density64, SPREADS, sigma, num)
    assert np.all(mean <= 4.0 * error)


@pytest.mark.parametrize("spread", [0.01, 1.0])
def test_a_flow_initialised_on_noise_nearly_reaches_the_bound(clean_case: Any, spread: float) -> None:
    """With its couplings still the identity it is that very Gaussian, so the bound is not met by being useless."""
    flow = clean_case.build(dtype="float64", sigma_range=None)
    flow.initialise(spread * np.random.default_rng(0).normal(size=(512, *flow.event_shape)))
    mean, error = excess(flow, np.array([spread]), None)
    assert -0.05 <= mean[0] <= 4.0 * error[0]


def test_the_bound_notices_a_log_determinant_that_is_left_out(
    clean_case: Any, noise_events: Callable[..., np.ndarray]
) -> None:
    flow = clean_case.build(dtype="float64", sigma_range=None)
    flow.initialise(5.0 * noise_events(flow, 512))

    class WithoutLogDet:
        event_shape, dimensions = flow.event_shape, flow.dimensions

        def log_prob(self, x: np.ndarray, sigma: None) -> tf.Tensor:
            return flow.log_prob(x, sigma) - flow.encode(x, sigma)[1]

    mean, error = excess(WithoutLogDet(), np.array([5.0]), None)
    assert mean[0] > 4.0 * error[0]
