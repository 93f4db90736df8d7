r"""Gibbs' inequality as a check of each prior under test: no density explains noise better than the noise's own.

For x ~ N(0, s^2 I) and any density p, :math:`E[\log p(x)] / D \le -\frac12 \log(2\pi e s^2)`. A log-determinant that is
left out or weighted breaks it.
"""

from __future__ import annotations

import math

import numpy as np

from tfsep.evaluation.prior_scorer import PriorScorer, noise_like

SPREADS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)


def bound(spread: float) -> float:
    """-0.5 log(2 pi e spread^2), in nats per dimension."""
    return -0.5 * math.log(math.tau * math.e * spread**2)


def gibbs_rows(judge: PriorScorer, num: int, seed: int) -> list[list[float]]:
    """Rows [standard deviation, mean log-density, bound] of ``num`` draws of noise, in nats per dimension.

    What is known of the draws is used: their own log-density is subtracted and its mean, minus the bound, added, so
    that the error of a finite number of draws is that of the difference alone.
    """
    rows = []
    for spread in SPREADS:
        noise = noise_like(np.zeros((num, *judge.prior.event_shape), np.float32), seed, "gibbs")
        axes = tuple(range(1, noise.ndim))
        own = -0.5 * np.mean(noise.astype(np.float64) ** 2, axis=axes) - 0.5 * math.log(math.tau * spread**2)
        excess = judge.log_prob(spread * noise, None) / judge.prior.dimensions - own
        rows.append([spread, float(np.mean(excess)) + bound(spread), bound(spread)])
    return rows
