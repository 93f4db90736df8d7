"""What validation mixtures decide: the stages that a composition keeps, the criterion by which restarts are chosen.

A composition keeps the prefix of its stages with the best SI-SDRi, its first stage at least. Gibbs
updates from several starts keep the estimate with the smallest residual or the likeliest one,
whichever criterion gives the better SI-SDRi. The validation mixtures are mixtures of unpaired
isolated sources, so the choice needs no more than the training did.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tfsep.metrics.si_sdr import si_sdri
from tfsep.posteriors.base import Posterior
from tfsep.posteriors.composition import Composition

_BATCH = 16
_LIMIT_DB = 100.0


@dataclass(frozen=True)
class Choice:
    """What was chosen and why.

    Attributes:
        kinds: of the stages.
        si_sdri: in dB of the estimate after each stage, over all sources and mixtures; -100 where
            an estimate is not finite.
        num_mixtures: on which it was measured.
    """

    kinds: tuple[str, ...]
    si_sdri: tuple[float, ...]
    num_mixtures: int

    @property
    def keep(self) -> int:
        """Count the stages to keep, the fewest of those that are equally good."""
        return int(np.argmax(self.si_sdri)) + 1

    def __str__(self) -> str:
        """Format what the recipe prints."""
        compared = ", ".join(f"{kind} {value:.2f} dB" for kind, value in zip(self.kinds, self.si_sdri, strict=True))
        kept = " > ".join(self.kinds[: self.keep])
        return f"composition: {compared} on {self.num_mixtures} validation mixtures; keeps {kept}"


def choose(composition: Composition, mixtures: np.ndarray, references: np.ndarray, seed: int = 0) -> Choice:
    """Measure every prefix of a composition that has all its stages.

    Args:
        composition: built with ``keep=None``.
        mixtures: (batch, segment).
        references: (batch, source, segment), a_k s_k.
        seed: of the samplers.
    """
    column = np.asarray(composition.gains, np.float32)[:, np.newaxis]
    rows: list[list[np.ndarray]] = [[] for _ in composition.stages]
    for start in range(0, len(mixtures), _BATCH):
        part = slice(start, start + _BATCH)
        for index, found in enumerate(composition.estimates_of_stages(mixtures[part], (seed, start))):
            estimate = np.asarray(found) * column
            rows[index].append(_improvement(estimate, references[part], mixtures[part]))
    si_sdri = tuple(_mean(np.concatenate(row)) for row in rows)
    return Choice(tuple(stage.kind for stage in composition.stages), si_sdri, len(mixtures))


def best_criterion(
    samplers: Mapping[str, Posterior], mixtures: np.ndarray, references: np.ndarray, seed: int = 0
) -> tuple[str, dict[str, float]]:
    """Find the best of samplers that differ in how they choose among restarts; the first of equals.

    Args:
        samplers: by criterion.
        mixtures: (batch, segment).
        references: (batch, source, segment), a_k s_k.
        seed: of all of them, so that they choose among the same restarts.

    Returns:
        The criterion, and the SI-SDRi in dB of each over all sources and mixtures.
    """
    found = {}
    for criterion, sampler in samplers.items():
        column, rows = np.asarray(sampler.gains, np.float32)[:, np.newaxis], []
        for start in range(0, len(mixtures), _BATCH):
            part = slice(start, start + _BATCH)
            estimate = np.asarray(sampler.sample(mixtures[part], 1, (seed, start))[0]) * column
            rows.append(_improvement(estimate, references[part], mixtures[part]))
        found[criterion] = _mean(np.concatenate(rows))
    return max(found, key=lambda criterion: found[criterion]), found


def _improvement(estimate: np.ndarray, references: np.ndarray, mixtures: np.ndarray) -> np.ndarray:
    """Compute SI-SDRi within +-100 dB; silent references are nan, an estimate that is not finite counts -100."""
    finite = np.isfinite(estimate).all(axis=-1)
    safe = np.where(finite[..., np.newaxis], estimate, 0.0)
    gained = np.clip(si_sdri(safe, references, mixtures[:, np.newaxis]), -_LIMIT_DB, _LIMIT_DB)
    return np.where(finite | np.isnan(gained), gained, -_LIMIT_DB)


def _mean(values: np.ndarray) -> float:
    """Average what is known; 0 dB, no better than the mixture, where nothing is."""
    known = values[~np.isnan(values)]
    return round(float(known.mean()), 4) if known.size else 0.0


def kept_entry(entry: dict[str, object], choice: Choice) -> dict[str, object]:
    """Add what was chosen to a composition's arguments, as a model folder stores them."""
    return {**entry, "keep": choice.keep, "validation_si_sdri": list(choice.si_sdri)}
