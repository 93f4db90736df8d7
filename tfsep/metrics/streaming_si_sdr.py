"""SI-SDR and its improvement for sound that comes block by block.

With the sums a = <e, s>, b = <s, s> and c = <e, e> over all blocks, in float64,

    SI-SDR = 10 log10((a^2 / b) / (c - a^2 / b)) dB,

which is the definition of :mod:`tfsep.metrics.si_sdr` written out. The difference loses its digits
where the estimate is all but perfect; values are limited to 100 dB either way, which is far from
there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfsep.metrics.si_sdr import SILENT_ENERGY

LIMIT_DB = 100.0


@dataclass(frozen=True)
class SeparationMetric:
    """How well an estimate matches its reference: means over the channels whose reference is not silent.

    Attributes:
        si_sdr: In dB, limited to -100..100.
        si_sdri: Improvement over the mixture as the estimate, in dB.
    """

    si_sdr: float
    si_sdri: float


class StreamingSiSdr:
    """Accumulate the sums that the SI-SDR of one estimate and of its mixture need.

    Args:
        channels: Of the estimate.
    """

    def __init__(self, channels: int) -> None:
        self._reference = np.zeros(channels)
        self._own = np.zeros((2, channels))
        self._shared = np.zeros((2, channels))

    def update(self, estimate: np.ndarray, mixture: np.ndarray, reference: np.ndarray) -> None:
        """Add a block of samples: estimate and mixture (channels, time), reference (1 or channels, time)."""
        truth = np.broadcast_to(reference.astype(np.float64), estimate.shape)
        self._reference += np.sum(truth**2, axis=-1)
        for row, sound in enumerate((estimate.astype(np.float64), mixture.astype(np.float64))):
            self._own[row] += np.sum(sound**2, axis=-1)
            self._shared[row] += np.sum(sound * truth, axis=-1)

    def result(self) -> SeparationMetric | None:
        """Return the metric of all blocks; None where the reference is silent and SI-SDR is not defined."""
        audible = self._reference >= SILENT_ENERGY
        if not audible.any():
            return None
        target = self._shared[:, audible] ** 2 / self._reference[audible]
        distortion = np.maximum(self._own[:, audible] - target, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = 10.0 * (np.log10(target) - np.log10(distortion))
        # 0 / 0: a silent estimate.
        ratio = np.clip(np.nan_to_num(ratio, nan=-LIMIT_DB), -LIMIT_DB, LIMIT_DB)
        return SeparationMetric(float(ratio[0].mean()), float((ratio[0] - ratio[1]).mean()))
