"""Stems that add up to their mixture, and the measurement that says how well they do.

Stems are estimates at mixture scale, a_k s_k, so that the mixture is their plain sum. Whatever a model leaves over
(its own error, and everything above its band) is shared by the exact projection of :mod:`tfsep.mixing`, which in this
scale hands stem k the part a_k^2 / ||a||^2 of the residual.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfsep import mixing

RESIDUAL_LIMIT_DB = -90.0


def _gain_column(gains: Sequence[float], dtype: tf.DType) -> tf.Tensor:
    return tf.constant(mixing.gain_vector(len(gains), gains), dtype)[:, tf.newaxis]


def to_mixture_scale(sources: Any, gains: Sequence[float]) -> tf.Tensor:
    """Sources s_k, (..., source, time), as their shares of the mixture a_k s_k, of the same shape."""
    sources = tf.convert_to_tensor(sources)
    return sources * _gain_column(gains, sources.dtype)


def project_stems(mixture: Any, stems: Any, gains: Sequence[float]) -> tf.Tensor:
    """The nearest stems whose sum is the mixture, nearness being measured between sources s_k = stem_k / a_k.

    Args:
        mixture: (..., time), linear samples.
        stems: (..., source, time) at mixture scale; their dtype is that of the computation.
        gains: a_1..a_N of the mixing model, none zero.

    Returns:
        (..., source, time) whose sum over sources is the mixture up to the dtype's rounding.
    """
    stems = tf.convert_to_tensor(stems)
    column = _gain_column(gains, stems.dtype)
    return column * mixing.project(mixture, stems / column, gains)


class ResidualMeter:
    """Energy of a mixture and of what its stems leave over, added up block by block in float64."""

    def __init__(self) -> None:
        """Start from nothing heard."""
        self.mixture_energy = 0.0
        self.residual_energy = 0.0

    def update(self, mixture: np.ndarray, stems: np.ndarray) -> None:
        """Add a block: mixture (..., time) and stems (source, ..., time), as they are handed out."""
        mixture = mixture.astype(np.float64)
        self.mixture_energy += float(np.sum(mixture**2))
        self.residual_energy += float(np.sum((mixture - np.sum(stems, axis=0, dtype=np.float64)) ** 2))

    @property
    def decibels(self) -> float:
        """Residual over mixture in dB; -inf where nothing at all is left over."""
        if self.residual_energy == 0.0:
            return -math.inf
        if self.mixture_energy == 0.0:
            return math.inf
        return 10.0 * math.log10(self.residual_energy / self.mixture_energy)
