"""Consistency of stems with their mixture: the projection that makes them add up, and the residual in dB.

Stems are estimates at mixture scale, a_k s_k, so that the mixture is their plain sum. The residual
of a model (its own error, and everything above its band) is distributed by the exact projection of
:mod:`tfsep.mixing`, which at this scale adds the part a_k^2 / ||a||^2 of it to stem k.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfsep import mixing
from tfsep.axes import Sources, TensorLike

RESIDUAL_LIMIT_DB = -90.0


def to_mixture_scale(sources: TensorLike, gains: Sequence[float]) -> Sources:
    """Scale sources s_k, (..., source, time), to their parts a_k s_k of the mixture, of the same shape."""
    sources = tf.convert_to_tensor(sources)
    return sources * mixing.gain_column(sources, gains)


def project_stems(mixture: TensorLike, stems: TensorLike, gains: Sequence[float]) -> Sources:
    """Return the nearest stems whose sum is the mixture, by the distance of sources s_k = stem_k / a_k.

    Args:
        mixture: (..., time), linear samples.
        stems: (..., source, time) at mixture scale; their dtype is that of the computation.
        gains: a_1..a_N of the mixing model, none zero.

    Returns:
        (..., source, time) whose sum over sources is the mixture up to the dtype's rounding.
    """
    stems = tf.convert_to_tensor(stems)
    column = mixing.gain_column(stems, gains)
    return column * mixing.project(mixture, stems / column, gains)


class ResidualMeter:
    """Energy of a mixture and of the residual of its stems, added up block by block in float64."""

    def __init__(self) -> None:
        """Start without any samples."""
        self.mixture_energy = 0.0
        self.residual_energy = 0.0

    def update(self, mixture: np.ndarray, stems: np.ndarray) -> None:
        """Add a block: mixture (..., time) and stems (source, ..., time), as they are written."""
        mixture = mixture.astype(np.float64)
        self.mixture_energy += float(np.sum(mixture**2))
        self.residual_energy += float(np.sum((mixture - np.sum(stems, axis=0, dtype=np.float64)) ** 2))

    @property
    def decibels(self) -> float:
        """Return residual over mixture in dB; -inf where there is no residual at all."""
        if self.residual_energy == 0.0:
            return -math.inf
        if self.mixture_energy == 0.0:
            return math.inf
        return 10.0 * math.log10(self.residual_energy / self.mixture_energy)
