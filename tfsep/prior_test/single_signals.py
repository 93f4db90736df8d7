r"""Denoising one source with its own prior: the posterior mean, and a draw by a short Langevin chain.

Of y = x + sigma eps the posterior mean is Tweedie's :math:`D(y, \sigma)`. The chain goes down from
sigma to the prior's smallest level; at :math:`\sigma_i` the state x_i is x with noise of which y is
a noisier version, so that exactly

.. math:: \nabla \log p(x_i | y) = \nabla \log p_{\sigma_i}(x_i) + (y - x_i) / (\sigma^2 - \sigma_i^2),

and steps of :math:`\eta = \frac12 (1/\sigma_i^2 + 1/(\sigma^2 - \sigma_i^2))^{-1}` are stable
(Langevin dynamics as corrector, Song et al., 2021). From one level to the next leads the bridge
between the state and its own posterior mean,

.. math:: x_i = D + \frac{\sigma_i^2}{\sigma_{i-1}^2} (x_{i-1} - D)
          + \sigma_i \sqrt{1 - \sigma_i^2 / \sigma_{i-1}^2}\; \epsilon.

A last Tweedie step removes the smallest noise. A draw has up to twice the square error of the mean,
3 dB less gain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tfsep.evaluation.excerpts import TRAINING, IsolatedExcerpts
from tfsep.evaluation.prior_scorer import PriorScorer, noise_like
from tfsep.evaluation.prior_set import PriorSet
from tfsep.prior_test.denoising import SIGMAS, wiener
from tfsep.prior_test.record import GainRow

_LEVELS, _STEPS = 8, 2
_LOWEST = 0.1


def langevin(scorer: PriorScorer, noised: np.ndarray, sigma: float, seed: int) -> np.ndarray:
    """Draw clean events given noised ones, (num,) + event_shape, by annealed Langevin dynamics.

    Args:
        scorer: the prior.
        noised: clean events with noise of level sigma.
        sigma: above the prior's smallest noise level.
        seed: of the draw.
    """
    last = max(scorer.prior.smallest_sigma, _LOWEST * sigma)
    levels = np.geomspace(sigma, last, _LEVELS + 1)[1:]
    state = noised.astype(np.float64)
    above = sigma
    for number, level in enumerate(levels):
        mean, kept = scorer.denoise(state, float(above)), level**2 / above**2
        bridge = noise_like(noised, seed, f"bridge/{number}")
        state = mean + kept * (state - mean) + level * np.sqrt(1.0 - kept) * bridge
        above, rest = level, sigma**2 - level**2
        step = 0.5 / (1.0 / level**2 + 1.0 / rest)
        for each in range(_STEPS):
            noise = noise_like(noised, seed, f"langevin/{number}", each)
            drift = scorer.score(state, level) + (noised - state) / rest
            state = state + step * drift + np.sqrt(2.0 * step) * noise
    return scorer.denoise(state, float(last))


def gain(estimate: np.ndarray, noised: np.ndarray, clean: np.ndarray) -> float:
    """Average the improvement of the signal-to-noise ratio over events, in dB."""
    axes = tuple(range(1, clean.ndim))
    before, after = (np.sum((each - clean) ** 2, axis=axes) for each in (noised, estimate))
    return float(np.mean(10.0 * np.log10(before / np.maximum(after, np.finfo(np.float64).tiny))))


def table(
    tested: PriorSet,
    scorers: Mapping[str, PriorScorer],
    data: IsolatedExcerpts,
    num: int = 32,
    sigmas: Sequence[float] = SIGMAS,
) -> list[GainRow]:
    """Tabulate SNR gains, a row for each source and noise level above its prior's smallest.

    Returns:
        ``source``, ``sigma``, ``snr`` (dB, before), ``tweedie``, ``langevin``, ``wiener`` (gains in
        dB).
    """
    rows: list[GainRow] = []
    for source, scorer in scorers.items():
        clean = tested.events(data.excerpts(source, num)).astype(np.float64)
        filtered = wiener(tested.domain, (tested.events(waves) for waves in data.batches(source, 256, TRAINING)))
        noise = noise_like(clean, data.seed, f"single/{source}")
        power = np.mean(clean**2, axis=tuple(range(1, clean.ndim)))
        for sigma in sigmas:
            if not scorer.knows_noise or not scorer.covers(sigma) or sigma <= scorer.prior.smallest_sigma:
                continue
            noised = clean + sigma * noise
            rows.append(
                {
                    "source": source,
                    "sigma": sigma,
                    "snr": _snr(power, sigma),
                    "tweedie": gain(scorer.denoise(noised, sigma), noised, clean),
                    "langevin": gain(langevin(scorer, noised, sigma, data.seed), noised, clean),
                    "wiener": gain(filtered.denoise(noised, sigma), noised, clean),
                }
            )
    return rows


def _snr(power: np.ndarray, sigma: float) -> float:
    return float(np.mean(10.0 * np.log10(np.maximum(power, np.finfo(np.float64).tiny) / sigma**2)))
