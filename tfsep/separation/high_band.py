r"""The band above a model's own goes to the stems that have power at its edge.

A model at a lower rate than its file has no information on the topmost octave. The residual there
is distributed in proportion to the power of each stem at the top of the model's own band,

.. math:: w_k(t) = \frac{P_k(t) + \delta\, g_k}{\sum_j P_j(t) + \delta}, \qquad g_k = \frac{a_k^2}{\|a\|^2},

P_k being the squares of the stem's fourth differences (which rise by 24 dB an octave, and are
scaled to 1 at the edge of the model's band), averaged over a few milliseconds on both sides of t,
at mixture scale; :math:`\delta = 10^{-8}`, 80 dB below full scale. So cymbals keep their high
frequencies and a bass does not get them; where no stem has any power at the edge, the shares are
those of the exact projection (:mod:`tfsep.separation.consistency`). They sum to one, and so the
stems still sum to the mixture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tfsep import mixing

SOURCE_AXIS = 1
_SIDE_SECONDS = 0.006
_ORDER = 4
_SILENT = 1e-8


def reaches(model_rate: int, sample_rate: int) -> bool:
    """Tell whether a file has a band above the model's that is wider than a resampler's transition."""
    return sample_rate > 1.05 * model_rate


class HighBandShares:
    """Shares of a stream of stems, a few milliseconds behind the stems, whatever the blocks are.

    Args:
        leading: of the blocks: (num_samples, source, channels).
        gains: a_1..a_N.
        model_rate: of the model, Hz.
        sample_rate: of the blocks, Hz, above the model's.
    """

    def __init__(self, leading: tuple[int, ...], gains: Sequence[float], model_rate: int, sample_rate: int) -> None:
        """Start with silence before the first block."""
        squares = np.square(mixing.gain_vector(len(gains), gains))
        self.usual = (squares / squares.sum())[:, np.newaxis, np.newaxis]
        self._scale = (2.0 * math.sin(0.5 * math.pi * model_rate / sample_rate)) ** -_ORDER
        self._last_samples = np.zeros((*leading, _ORDER))
        self._side = round(_SIDE_SECONDS * sample_rate)
        self._power = np.zeros((*leading, self._side))

    def push(self, stems: np.ndarray, last: bool = False) -> np.ndarray:
        """Take a block of stems (num_samples, source, channels, time) at mixture scale, possibly empty.

        Returns:
            The next shares, (num_samples, source, channels, time) float64: all that are known by
            now, and after the last block one for each sample so far.
        """
        blocks = [self._power]
        if stems.shape[-1]:
            joined = np.concatenate([self._last_samples, stems], axis=-1)
            high, self._last_samples = self._scale * np.diff(joined, _ORDER), joined[..., -_ORDER:]
            blocks.append(high**2)
        if last:
            blocks.append(np.zeros((*self._power.shape[:-1], self._side)))
        power = np.concatenate(blocks, axis=-1)
        ready = max(power.shape[-1] - 2 * self._side, 0)
        width = 2 * self._side + 1
        sums = np.pad(np.cumsum(power, axis=-1), [(0, 0)] * (power.ndim - 1) + [(1, 0)])
        level = (sums[..., width:] - sums[..., :-width])[..., :ready] / width if ready else power[..., :0]
        self._power = power[..., ready:]
        level = np.maximum(level, 0.0) + _SILENT * self.usual
        shares: np.ndarray = level / level.sum(axis=SOURCE_AXIS, keepdims=True)
        return shares
