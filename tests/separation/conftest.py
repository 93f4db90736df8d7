"""Small posteriors whose estimates are known, and separators around them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
import tensorflow as tf

from tfsep.runtime.stateless_random import normal
from tfsep.separation.separator import Separator


class BandPosterior:
    """Splits a segment at bins of its spectrum into bands; with ``noise`` > 0 each sample is shaken by its seed."""

    def __init__(self, segment: int = 512, num_sources: int = 2, noise: float = 0.0, error: float = 0.0) -> None:
        self.segment, self.num_sources = segment, num_sources
        self.gains = tuple(1.0 / (k + 1) for k in range(num_sources))
        self.noise, self.error = noise, error
        self.traces = 0

    def sample(self, mixture: Any, num_samples: int, seed: Any) -> tf.Tensor:
        self.traces += 1
        spectrum = tf.signal.rfft(mixture)
        num_bins = self.segment // 2 + 1
        edges = [0, *(num_bins >> (2 * (self.num_sources - k) - 1) for k in range(1, self.num_sources)), num_bins]
        bins = tf.range(num_bins)
        bands = [
            tf.signal.irfft(tf.where((bins >= low) & (bins < high), spectrum, 0.0), [self.segment]) / gain
            for (low, high), gain in zip(pairwise(edges), self.gains, strict=True)
        ]
        sources = tf.stack(bands, axis=1)[tf.newaxis] + self.error
        shape = tf.concat([[num_samples], tf.shape(sources)[1:]], axis=0)
        return sources + self.noise * self.shaken(shape, seed)

    @staticmethod
    def shaken(shape: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        """Draw noise (num_samples, batch, source, segment) that depends on the seed of its row alone."""
        drawn = normal(tf.gather(shape, [1, 0, 2, 3]), seeds)
        return tf.transpose(drawn, [1, 0, 2, 3])


@pytest.fixture
def make_separator() -> Callable[..., Separator]:
    """Build a separator around a BandPosterior at 8 kHz; settings are those of its model."""

    def build(overlap: float | None = None, settings: dict[str, Any] | None = None, **posterior: Any) -> Separator:
        bands = BandPosterior(**posterior)
        model = SimpleNamespace(
            name="bands",
            sources=("low", "high", "top", "ultra")[: bands.num_sources],
            sample_rate=8000,
            segment=bands.segment,
            gains=bands.gains,
            posterior=bands,
            settings=settings or {},
        )
        return Separator(model, overlap=overlap)

    return build
