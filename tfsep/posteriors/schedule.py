"""Noise schedules of annealed samplers."""

from __future__ import annotations

import numpy as np

from tfsep.errors import InputError


def geometric(largest: float, smallest: float, num_levels: int) -> np.ndarray:
    """Noise levels from ``largest`` down to ``smallest`` in equal ratios: (num_levels,) float32.

    Raises:
        InputError: unless 0 < smallest <= largest and num_levels >= 1.
    """
    if not 0.0 < smallest <= largest or num_levels < 1:
        raise InputError(
            "a noise schedule needs 0 < smallest <= largest and at least one level, "
            f"got largest {largest:g}, smallest {smallest:g}, {num_levels} levels"
        )
    return np.geomspace(largest, smallest, num_levels, dtype=np.float64).astype(np.float32)
