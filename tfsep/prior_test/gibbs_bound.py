r"""Gibbs' inequality as a check of each prior: no density explains noise better than the noise's own.

For x ~ N(0, s^2 I) and any density p, :math:`E[\log p(x)] / D \le -\frac12 \log(2\pi e s^2)`. A
log-determinant that is left out or weighted breaks it.
"""

from __future__ import annotations

import math

import numpy as np

from tfsep.evaluation.prior_scorer import PriorScorer, noise_like

SPREADS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)


def bound(spread: float) -> float:
    """Compute -0.5 log(2 pi e spread^2), in nats per dimension."""
    return -0.5 * math.log(math.tau * math.e * spread**2)


def noise_events(scorer: PriorScorer, num: int, seed: int) -> np.ndarray:
    """Draw standard normal events (num,) + event_shape, the same for every prior of one event shape."""
    return noise_like(np.zeros((num, *scorer.prior.event_shape), np.float32), seed, "gibbs")


def excess(scorer: PriorScorer, noise: np.ndarray, spread: float) -> float:
    """Measure how far the mean log-density of spread * noise lies above the bound, in nats per dimension.

    What is known of the draws is used: their own log-density is subtracted, so that the error of a
    finite number of draws is that of the difference alone.
    """
    axes = tuple(range(1, noise.ndim))
    own = -0.5 * np.mean(noise.astype(np.float64) ** 2, axis=axes) - 0.5 * math.log(math.tau * spread**2)
    return float(np.mean(scorer.log_prob(spread * noise, None) / scorer.prior.dimensions - own))


def gibbs_rows(scorer: PriorScorer, num: int, seed: int) -> list[list[float]]:
    """Compare a prior with the bound at each of :data:`SPREADS`.

    Returns:
        Rows [standard deviation, mean log-density, bound] over ``num`` draws of noise, the last two
        in nats per dimension.
    """
    noise = noise_events(scorer, num, seed)
    return [[spread, excess(scorer, noise, spread) + bound(spread), bound(spread)] for spread in SPREADS]
