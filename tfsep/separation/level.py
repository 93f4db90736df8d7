"""The level to which some models bring their input: a root mean square over all of a waveform."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

#: Root mean squares up to this are silence, which keeps its level.
SILENT_LEVEL = 1e-8


def level_scale(blocks: Iterable[np.ndarray], level: float) -> float:
    """Return the factor that brings blocks (channels, time) to a level; 1 for silence."""
    energy, count = 0.0, 0
    for block in blocks:
        energy += float(np.sum(block.astype(np.float64) ** 2))
        count += block.size
    root_mean_square = (energy / max(count, 1)) ** 0.5
    return level / root_mean_square if root_mean_square > SILENT_LEVEL else 1.0
