"""Noise schedules of annealed samplers.

Levels enter the chains in :mod:`tfsep.posteriors.annealed` (``denoised``, ``scores``).
"""

from __future__ import annotations

import numpy as np

from tfsep.errors import InputError


def geometric(largest: float, smallest: float, num_levels: int) -> np.ndarray:
    """Return noise levels from ``largest`` down to ``smallest`` in equal ratios: (num_levels,) float32.

    Raises:
        InputError: unless 0 < smallest <= largest and num_levels >= 1.
    """
    if not 0.0 < smallest <= largest or num_levels < 1:
        raise InputError(
            "a noise schedule needs 0 < smallest <= largest and at least one level, "
            f"got largest {largest:g}, smallest {smallest:g}, {num_levels} levels"
        )
    return np.geomspace(largest, smallest, num_levels, dtype=np.float64).astype(np.float32)


def karras(largest: float, smallest: float, num_levels: int, rho: float = 7.0) -> np.ndarray:
    """Return noise levels whose rho-th roots fall in equal steps: (num_levels,) float32.

    Source: Karras et al. 2022, equation 5.

    Raises:
        InputError: unless 0 < smallest <= largest, num_levels >= 1 and rho > 0.
    """
    if not rho > 0.0:
        raise InputError(f"rho must be above 0, got {rho:g}")
    geometric(largest, smallest, num_levels)
    roots = np.linspace(largest ** (1.0 / rho), smallest ** (1.0 / rho), num_levels)
    return (roots**rho).astype(np.float32)


def warm(sigmas: np.ndarray, start_sigma: float | None) -> np.ndarray:
    """Return the schedule of a warm start: ``start_sigma`` and every level below it.

    None is the middle of the schedule.

    Raises:
        InputError: unless start_sigma lies within the schedule.
    """
    if start_sigma is None:
        start_sigma = float(np.sqrt(sigmas[0] * sigmas[-1]))
    first = np.float32(start_sigma)
    if not sigmas[-1] <= first <= sigmas[0]:
        raise InputError(f"start_sigma must lie in the schedule's {sigmas[-1]:g}..{sigmas[0]:g}, got {start_sigma:g}")
    return np.concatenate([[first], sigmas[sigmas < first]])
