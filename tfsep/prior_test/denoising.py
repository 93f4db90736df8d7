r"""Denoising error: how sharp a prior's score is, in units of its domain, with or without a density.

Root mean square errors of ``denoise`` on held-out events with white noise of a known level stand
beside those of the ideal prior on the toy's grid, which no denoiser can beat on average, and of the
Wiener filter, the least that a prior must beat: a Gaussian learned from isolated training excerpts.
The filter takes waveforms as stationary, with the power spectrum :math:`P(f)` of the source's
excerpts (periodic over an event), and denoises them by the gain :math:`P / (P + \sigma^2)`. It
takes log spectra as independent bins, each with its mean and variance over all frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np

from tfsep.evaluation.excerpts import TRAINING, IsolatedExcerpts
from tfsep.evaluation.prior_scorer import PriorScorer, noise_like
from tfsep.evaluation.prior_set import PriorSet
from tfsep.prior_test.record import DenoisingTable

SIGMAS = (1.0, 0.5, 0.2, 0.1)
Denoiser = Callable[[np.ndarray, float], np.ndarray]


class LinearDenoiser(Protocol):
    """The best linear estimate of clean events."""

    def denoise(self, events: np.ndarray, sigma: float) -> np.ndarray:
        """Estimate clean events from noised ones, (num,) + event_shape -> the same shape."""


class WaveWiener:
    """Gain per frequency of waveforms (num, time, 1), from the mean power spectrum of batches of clean events."""

    def __init__(self, batches: Iterable[np.ndarray]) -> None:
        total, count = np.zeros(()), 0
        for events in batches:
            total = total + np.sum(np.abs(np.fft.rfft(events[..., 0], norm="ortho")) ** 2, axis=0)
            count += len(events)
        self.power = total / count

    def denoise(self, events: np.ndarray, sigma: float) -> np.ndarray:
        """Filter noised waveforms (num, time, 1) -> the same shape."""
        gain = self.power / (self.power + sigma**2)
        spectrum = gain * np.fft.rfft(events[..., 0], norm="ortho")
        return np.fft.irfft(spectrum, events.shape[1], norm="ortho")[..., np.newaxis]


class SpectralWiener:
    """Mean and gain per bin of log spectra (num, frame, bin, 1), from batches of clean events, over all frames."""

    def __init__(self, batches: Iterable[np.ndarray]) -> None:
        first, second, count = np.zeros(()), np.zeros(()), 0
        for events in batches:
            first = first + np.sum(events, axis=(0, 1), dtype=np.float64)
            second = second + np.sum(np.square(events, dtype=np.float64), axis=(0, 1))
            count += events.shape[0] * events.shape[1]
        self.mean = first / count
        self.variance = np.maximum(second / count - self.mean**2, 0.0)

    def denoise(self, events: np.ndarray, sigma: float) -> np.ndarray:
        """Shrink noised spectra (num, frame, bin, 1) towards the mean -> the same shape."""
        return self.mean + self.variance / (self.variance + sigma**2) * (events - self.mean)


def wiener(domain: str, batches: Iterable[np.ndarray]) -> LinearDenoiser:
    """Learn the filter of a domain from batches of clean events."""
    return WaveWiener(batches) if domain == "wave" else SpectralWiener(batches)


def rmse(
    tested: PriorSet,
    data: IsolatedExcerpts,
    source: str,
    denoisers: Mapping[str, Denoiser],
    sigmas: Sequence[float],
    num: int,
) -> dict[str, list[float | None]]:
    """Measure errors on one source's held-out excerpts, with the same noise for all denoisers.

    Returns:
        {denoiser: root mean square error at each sigma, None where it does not reach the level}.
    """
    squares = {name: np.zeros(len(sigmas)) for name in denoisers}
    count = 0
    for part, waves in enumerate(data.batches(source, num)):
        events = tested.events(waves)
        noise = noise_like(events, data.seed, f"denoise/{source}", part)
        count += events.size
        for index, sigma in enumerate(sigmas):
            for name, denoise in denoisers.items():
                error = denoise(events + sigma * noise, sigma) - events
                squares[name][index] += np.sum(np.square(error, dtype=np.float64))
    return {name: [_root(total / count) for total in totals] for name, totals in squares.items()}


def table(
    tested: PriorSet,
    data: IsolatedExcerpts,
    scorers: Mapping[str, PriorScorer],
    ideal: Mapping[str, PriorScorer] | None,
    num: int,
    sigmas: Sequence[float] = SIGMAS,
) -> DenoisingTable:
    """Tabulate the denoising errors of every source's own prior.

    Args:
        tested, data, scorers: the priors and the data; a clean prior has no denoiser and no row.
        ideal: scorers of the ideal priors, where there are any.
        num: held-out excerpts a source; the Wiener filters learn from as many training excerpts.
        sigmas: noise levels.

    Returns:
        ``sigmas``; ``sources`` {source: {"prior", "wiener", "ideal": [rmse]}} with None where a
        level is out of range; and for each of the three ``mean``, the root mean square over
        sources, and ``ratio_to_ideal`` of those means.
    """
    found = {}
    for source in tested.sources:
        events = (tested.events(waves) for waves in data.batches(source, num, TRAINING))
        denoisers: dict[str, Denoiser] = {"wiener": wiener(tested.domain, events).denoise}
        if scorers[source].knows_noise:
            denoisers["prior"] = _reaching(scorers[source])
        if ideal is not None:
            denoisers["ideal"] = _reaching(ideal[source])
        found[source] = rmse(tested, data, source, denoisers, sigmas, num)
    names = [name for name in ("prior", "wiener", "ideal") if all(name in row for row in found.values())]
    mean = {name: [_mean([row[name][k] for row in found.values()]) for k in range(len(sigmas))] for name in names}
    record: DenoisingTable = {"sigmas": list(sigmas), "sources": found, "mean": mean}
    if "ideal" in mean:
        record["ratio_to_ideal"] = {
            name: [_over(value, best) for value, best in zip(mean[name], mean["ideal"], strict=True)]
            for name in names
            if name != "ideal"
        }
    return record


def _reaching(scorer: PriorScorer) -> Denoiser:
    """Wrap the scorer's denoiser, to give nan where the prior has no such noise level."""

    def denoise(events: np.ndarray, sigma: float) -> np.ndarray:
        return scorer.denoise(events, sigma) if scorer.covers(sigma) else np.full(events.shape, np.nan)

    return denoise


def _root(value: float) -> float | None:
    return None if np.isnan(value) else float(np.sqrt(value))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.sqrt(np.mean(np.square(known)))) if len(known) == len(values) else None


def _over(value: float | None, best: float | None) -> float | None:
    return None if value is None or best is None else value / best
