"""Denoising error: the sharpness of a prior's score, in units of its domain, with or without a density.

Root mean square errors of ``denoise`` on held-out events with white noise of a known level, beside the Wiener filter
(wiener.py) and, on the toy's grid, the ideal prior, which no denoiser can beat on average.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tfsep.evaluation.excerpts import TRAINING, IsolatedExcerpts
from tfsep.evaluation.prior_scorer import PriorScorer, noise_like
from tfsep.evaluation.prior_set import PriorSet
from tfsep.prior_test.wiener import wiener

SIGMAS = (1.0, 0.5, 0.2, 0.1)
Denoiser = Callable[[np.ndarray, float], np.ndarray]


def rmse(
    tested: PriorSet,
    cuts: IsolatedExcerpts,
    source: str,
    denoisers: Mapping[str, Denoiser],
    sigmas: Sequence[float],
    num: int,
) -> dict[str, list[float | None]]:
    """{denoiser: root mean square error at each sigma} on one source's held-out cuts, the same noise for all.

    A denoiser that does not reach a noise level has None there.
    """
    squares = {name: np.zeros(len(sigmas)) for name in denoisers}
    count = 0
    for part, waves in enumerate(cuts.batches(source, num)):
        events = tested.events(waves)
        noise = noise_like(events, cuts.seed, f"denoise/{source}", part)
        count += events.size
        for place, sigma in enumerate(sigmas):
            for name, denoise in denoisers.items():
                error = denoise(events + sigma * noise, sigma) - events
                squares[name][place] += np.sum(np.square(error, dtype=np.float64))
    return {name: [_root(total / count) for total in totals] for name, totals in squares.items()}


def table(
    tested: PriorSet,
    cuts: IsolatedExcerpts,
    judges: Mapping[str, PriorScorer],
    ideal: Mapping[str, PriorScorer] | None,
    num: int,
    sigmas: Sequence[float] = SIGMAS,
) -> dict[str, Any]:
    """Denoising errors of every source's own prior.

    Args:
        tested, cuts, judges: the priors and the data; a clean prior has no denoiser and no row.
        ideal: scorers of the ideal priors, where there are any.
        num: held-out cuts a source; as many training cuts teach the Wiener filters.
        sigmas: noise levels.

    Returns:
        ``sigmas``; ``sources`` {source: {"prior", "wiener", "ideal": [rmse]}} with None where a level is out of range;
        and for each of the three ``mean``, the root mean square over sources, and ``ratio_to_ideal`` of those means.
    """
    found = {}
    for source in tested.sources:
        events = (tested.events(waves) for waves in cuts.batches(source, num, TRAINING))
        denoisers: dict[str, Denoiser] = {"wiener": wiener(tested.domain, events).denoise}
        if judges[source].knows_noise:
            denoisers["prior"] = _reaching(judges[source])
        if ideal is not None:
            denoisers["ideal"] = _reaching(ideal[source])
        found[source] = rmse(tested, cuts, source, denoisers, sigmas, num)
    names = [name for name in ("prior", "wiener", "ideal") if all(name in row for row in found.values())]
    mean = {
        name: [_mean([row[name][place] for row in found.values()]) for place in range(len(sigmas))] for name in names
    }
    record: dict[str, Any] = {"sigmas": list(sigmas), "sources": found, "mean": mean}
    if "ideal" in mean:
        record["ratio_to_ideal"] = {
            name: [_over(value, best) for value, best in zip(mean[name], mean["ideal"], strict=True)]
            for name in names
            if name != "ideal"
        }
    return record


def _reaching(judge: PriorScorer) -> Denoiser:
    """The scorer's denoiser, nan where it has no such noise level."""

    def denoise(events: np.ndarray, sigma: float) -> np.ndarray:
        return judge.denoise(events, sigma) if judge.covers(sigma) else np.full(events.shape, np.nan)

    return denoise


def _root(value: float) -> float | None:
    return None if np.isnan(value) else float(np.sqrt(value))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.sqrt(np.mean(np.square(known)))) if len(known) == len(values) else None


def _over(value: float | None, best: float | None) -> float | None:
    return None if value is None or best is None else value / best
