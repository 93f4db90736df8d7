r"""Denoising one source with its own prior: the posterior mean, and a draw by a short Langevin walk.

Of y = x + sigma eps the posterior mean is Tweedie's :math:`D(y, \sigma)`. The walk goes down from sigma to the prior's
smallest level; at :math:`\sigma_i` the state x_i is x with noise of which y is a noisier version, so that exactly

.. math:: \nabla \log p(x_i | y) = \nabla \log p_{\sigma_i}(x_i) + (y - x_i) / (\sigma^2 - \sigma_i^2),

and steps of :math:`\eta = \frac12 (1/\sigma_i^2 + 1/(\sigma^2 - \sigma_i^2))^{-1}` are stable (Langevin dynamics
as corrector, Song et al., 2021). From one level to the next leads the bridge between the state and its own posterior
mean,

.. math:: x_i = D + \frac{\sigma_i^2}{\sigma_{i-1}^2} (x_{i-1} - D)
          + \sigma_i \sqrt{1 - \sigma_i^2 / \sigma_{i-1}^2}\; \epsilon.

A last Tweedie step removes the smallest noise. A draw has up to twice the
square error of the mean, 3 dB less gain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfsep.evaluation.excerpts import TRAINING, IsolatedExcerpts
from tfsep.evaluation.prior_scorer import PriorScorer, noise_like
from tfsep.evaluation.prior_set import PriorSet
from tfsep.prior_test.denoising import SIGMAS
from tfsep.prior_test.wiener import wiener

_LEVELS, _STEPS = 8, 2
_LOWEST = 0.1


def langevin(judge: PriorScorer, noised: np.ndarray, sigma: float, seed: int) -> np.ndarray:
    """A draw of clean events given noised ones, (num,) + event_shape; sigma must be above the prior's smallest."""
    last = max(judge.prior.smallest_sigma, _LOWEST * sigma)
    levels = np.geomspace(sigma, last, _LEVELS + 1)[1:]
    state = noised.astype(np.float64)
    above = sigma
    for number, level in enumerate(levels):
        mean, kept = judge.denoise(state, float(above)), level**2 / above**2
        bridge = noise_like(noised, seed, f"bridge/{number}")
        state = mean + kept * (state - mean) + level * np.sqrt(1.0 - kept) * bridge
        above, rest = level, sigma**2 - level**2
        step = 0.5 / (1.0 / level**2 + 1.0 / rest)
        for round_ in range(_STEPS):
            noise = noise_like(noised, seed, f"langevin/{number}", round_)
            drift = judge.score(state, level) + (noised - state) / rest
            state = state + step * drift + np.sqrt(2.0 * step) * noise
    return judge.denoise(state, float(last))


def gain(estimate: np.ndarray, noised: np.ndarray, clean: np.ndarray) -> float:
    """Mean over events of the improvement of the signal-to-noise ratio, in dB."""
    axes = tuple(range(1, clean.ndim))
    before, after = (np.sum((each - clean) ** 2, axis=axes) for each in (noised, estimate))
    return float(np.mean(10.0 * np.log10(before / np.maximum(after, np.finfo(np.float64).tiny))))


def table(
    tested: PriorSet,
    judges: Mapping[str, PriorScorer],
    cuts: IsolatedExcerpts,
    num: int = 32,
    sigmas: Sequence[float] = SIGMAS,
) -> list[dict[str, Any]]:
    """SNR gains in dB, a row for each source and noise level above its prior's smallest.

    Returns:
        ``source``, ``sigma``, ``snr`` (dB, before), ``tweedie``, ``langevin``, ``wiener`` (gains in dB).
    """
    rows = []
    for source, judge in judges.items():
        clean = tested.events(cuts.cuts(source, num)).astype(np.float64)
        filtered = wiener(tested.domain, (tested.events(waves) for waves in cuts.batches(source, 256, TRAINING)))
        noise = noise_like(clean, cuts.seed, f"single/{source}")
        power = np.mean(clean**2, axis=tuple(range(1, clean.ndim)))
        for sigma in sigmas:
            if not judge.knows_noise or not judge.covers(sigma) or sigma <= judge.prior.smallest_sigma:
                continue
            noised = clean + sigma * noise
            estimates = {
                "tweedie": judge.denoise(noised, sigma),
                "langevin": langevin(judge, noised, sigma, cuts.seed),
                "wiener": filtered.denoise(noised, sigma),
            }
            gains = {name: gain(estimate, noised, clean) for name, estimate in estimates.items()}
            rows.append({"source": source, "sigma": sigma, "snr": _snr(power, sigma), **gains})
    return rows


def _snr(power: np.ndarray, sigma: float) -> float:
    return float(np.mean(10.0 * np.log10(np.maximum(power, np.finfo(np.float64).tiny) / sigma**2)))
