"""SI-SDR of sound that comes block by block.

With the sums a = <e, s>, b = <s, s> and c = <e, e> over all blocks, in float64,

    SI-SDR = 10 log10((a^2 / b) / (c - a^2 / b)) dB,

which is the definition of :mod:`tfsep.metrics.si_sdr` written out. The difference loses its digits where the estimate
is all but perfect; scores are limited to 100 dB either way, far from there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfsep.metrics.si_sdr import SILENT_ENERGY

LIMIT_DB = 100.0


@dataclass(frozen=True)
class Score:
    """How well one stem matches its reference, as the mean over the channels whose reference is not silent.

    Attributes:
        si_sdr: dB, limited to -100..100.
        si_sdri: what the stem gains over the mixture taken as the stem, dB.
    """

    si_sdr: float
    si_sdri: float


class ScoreMeter:
    """Adds up what the score of one stem needs."""

    def __init__(self, channels: int) -> None:
        """Start from nothing heard, for a stem of so many channels."""
        self._reference = np.zeros(channels)
        self._own = np.zeros((2, channels))
        self._shared = np.zeros((2, channels))

    def update(self, estimate: np.ndarray, mixture: np.ndarray, reference: np.ndarray) -> None:
        """Add a block: estimate and mixture (channels, time), reference (1 or channels, time)."""
        truth = np.broadcast_to(reference.astype(np.float64), estimate.shape)
        self._reference += np.sum(truth**2, axis=-1)
        for row, sound in enumerate((estimate.astype(np.float64), mixture.astype(np.float64))):
            self._own[row] += np.sum(sound**2, axis=-1)
            self._shared[row] += np.sum(sound * truth, axis=-1)

    def score(self) -> Score | None:
        """The score; None where the reference is silent, against which nothing can be said."""
        audible = self._reference >= SILENT_ENERGY
        if not audible.any():
            return None
        target = self._shared[:, audible] ** 2 / self._reference[audible]
        distortion = np.maximum(self._own[:, audible] - target, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = 10.0 * (np.log10(target) - np.log10(distortion))
        # Nothing over nothing: a silent estimate.
        ratio = np.clip(np.nan_to_num(ratio, nan=-LIMIT_DB), -LIMIT_DB, LIMIT_DB)
        return Score(float(ratio[0].mean()), float((ratio[0] - ratio[1]).mean()))
