r"""Calibration of posterior samples: the coverage of their intervals, and the temperature that corrects it.

K draws of a sample of a source, sorted, divide the line into K + 1 parts which the truth hits
equally often if it is one more draw of the same law. With K = 39 the interval from the 2nd to the
38th covers exactly 90 %, from the 10th to the 30th exactly 50 %. Coverage is the share of samples
(of time, mixtures and channels) whose truth lies within.

A learned posterior's spread is multiplied by one temperature per source, :math:`\tau_k`, such that
on validation mixtures the 90 % intervals cover 90 %: with centre c and half-width h of an interval,
:math:`\tau_k` is the 0.9 quantile of :math:`|s - c| / h`. Draws are projected on the mixture, which
mixes the sources' spreads, so it is fitted in a few rounds.

Source: Gneiting, Balabdaoui and Raftery 2007 (probability integral transform); Guo et al. 2017
(temperature scaling).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from tfsep.posteriors.amortised import Amortised
from tfsep.posteriors.base import Posterior

NUM_DRAWS = 39
#: Nominal coverage in percent: indices of its lower and upper end among the sorted draws.
INTERVALS: Mapping[int, tuple[int, int]] = {50: (9, 29), 90: (1, 37)}
_FITTED = 90
_ROUNDS = 3
_BATCH_SAMPLES = 1 << 16  # of mixtures drawn for at once
_SMALLEST_WIDTH = 1e-9

#: {nominal coverage in percent: {source, or "all": share covered, None for a source that was always silent}}.
CoverageTable: TypeAlias = dict[str, dict[str, float | None]]


@dataclass
class Coverage:
    """Counts of truths that lie within intervals, source by source; silent references are left out."""

    hits: dict[int, np.ndarray] = field(default_factory=dict)
    count: np.ndarray | int = 0

    def add(self, draws: np.ndarray, references: np.ndarray) -> None:
        """Count the references (batch, source, time) that lie within the intervals of draws.

        Args:
            draws: (sample, batch, source, time), at the references' scale.
            references: the truth.

        Raises:
            ValueError: for another number of samples than :data:`NUM_DRAWS`.
        """
        if len(draws) != NUM_DRAWS:
            raise ValueError(f"coverage is counted with {NUM_DRAWS} draws, got {len(draws)}")
        ordered = np.sort(draws, axis=0)
        audible = np.any(references != 0.0, axis=-1, keepdims=True)
        for nominal, (low, high) in INTERVALS.items():
            inside = (ordered[low] <= references) & (references <= ordered[high]) & audible
            self.hits[nominal] = self.hits.get(nominal, 0) + inside.sum(axis=(0, 2))
        self.count = self.count + audible.sum(axis=(0, 2)) * references.shape[-1]

    def record(self, sources: Iterable[str]) -> CoverageTable:
        """Divide the hits by the counts: the shares covered, source by source and over all."""
        names, count = list(sources), np.asarray(self.count)
        table: CoverageTable = {}
        for nominal, hits in self.hits.items():
            shares = {name: float(hits[k] / count[k]) if count[k] else None for k, name in enumerate(names)}
            table[str(nominal)] = {**shares, "all": float(hits.sum() / count.sum()) if count.sum() else None}
        return table


def draws_of(posterior: Posterior, mixtures: np.ndarray, seed: int = 0) -> np.ndarray:
    """Draw :data:`NUM_DRAWS` samples of a_k s_k for mixtures (batch, segment): (sample, batch, source, segment)."""
    column = np.asarray(posterior.gains, np.float32)[:, np.newaxis]
    return np.asarray(posterior.sample(mixtures, NUM_DRAWS, (seed, 0))) * column


def _parts(mixtures: np.ndarray) -> Iterator[slice]:
    """Divide a batch into parts that fit in memory with their draws."""
    size = max(1, _BATCH_SAMPLES // mixtures.shape[-1])
    return (slice(start, start + size) for start in range(0, len(mixtures), size))


def fit_temperature(posterior: Amortised, mixtures: np.ndarray, references: np.ndarray, seed: int = 0) -> list[float]:
    """Set and return the temperatures with which 90 % intervals cover 90 %, one for each source.

    Args:
        posterior: as trained; its ``temperature`` is replaced.
        mixtures: (batch, segment) of validation mixtures.
        references: (batch, source, segment), a_k s_k.
        seed: of the draws.
    """
    posterior.temperature = (1.0,) * posterior.num_sources
    low, high = INTERVALS[_FITTED]
    for _ in range(_ROUNDS):
        ratios = []
        for part in _parts(mixtures):
            ordered = np.sort(draws_of(posterior, mixtures[part], seed + part.start), axis=0)
            centre, half = 0.5 * (ordered[high] + ordered[low]), 0.5 * (ordered[high] - ordered[low])
            ratios.append(np.abs(references[part] - centre) / np.maximum(half, _SMALLEST_WIDTH))
        factor = np.quantile(np.concatenate(ratios), _FITTED / 100, axis=(0, 2))
        posterior.temperature = tuple(
            float(np.clip(old * new, 1e-3, 1e3)) for old, new in zip(posterior.temperature, factor, strict=True)
        )
    return [float(f"{value:.4g}") for value in posterior.temperature]


def measure(
    draw: Callable[[np.ndarray], np.ndarray], mixtures: np.ndarray, references: np.ndarray, sources: Iterable[str]
) -> CoverageTable:
    """Measure the coverage of ``draw``, in batches that fit in memory.

    Args:
        draw: from mixtures (batch, time) to samples (sample, batch, source, time).
        mixtures: (batch, time).
        references: the truth, (batch, source, time).
        sources: names in the order of the source axis.
    """
    coverage = Coverage()
    for part in _parts(mixtures):
        coverage.add(draw(mixtures[part]), references[part])
    return coverage.record(sources)


def as_text(record: CoverageTable) -> str:
    """Format one line per interval: what should be covered, and what is, source by source."""
    lines = []
    for nominal, shares in record.items():
        cells = ", ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items() if share is not None)
        lines.append(f"{nominal} % intervals cover: {cells}")
    return "\n".join(lines)
