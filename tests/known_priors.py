"""Priors whose posteriors are known: correlated Gaussians, coins, and the toy data's own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep import priors
from tfsep.audio.front_end import SpectralFrontEnd, WaveFrontEnd
from tfsep.data import toy
from tfsep.data.oscillators import KINDS
from tfsep.priors.base import Prior, broadcast_to_event, per_example_sigma
from tfsep.runtime.stateless_random import uniform


class WavePrior(Prior):
    """What the known priors share: events (time, 1) and no sampler."""

    domain = "wave"
    front_end = WaveFrontEnd()
    has_log_prob = False

    def __init__(self, length: int, smallest_sigma: float = 0.01, largest_sigma: float = 100.0) -> None:
        self.event_shape = (length, 1)
        self.smallest_sigma, self.largest_sigma = smallest_sigma, largest_sigma

    def log_prob(self, x: Any, sigma: Any = None) -> tf.Tensor:
        raise NotImplementedError

    def sample(self, num: int, seed: Any, sigma: Any = None) -> tf.Tensor:
        raise NotImplementedError


class GaussianPrior(WavePrior):
    """N(mean, covariance) over waves; with noise of level sigma the covariance grows by sigma^2 I."""

    kind = "gaussian"

    def __init__(self, mean: np.ndarray, covariance: np.ndarray, **settings: Any) -> None:
        super().__init__(len(mean), **settings)
        self.mean, self.covariance = mean, covariance
        values, vectors = np.linalg.eigh(covariance)
        self._values, self._vectors = tf.constant(values, tf.float32), tf.constant(vectors, tf.float32)

    def score(self, x: Any, sigma: Any = None) -> tf.Tensor:
        sigma = per_example_sigma(self.smallest_sigma if sigma is None else sigma, x)[:, tf.newaxis]
        turned = tf.matmul(x[..., 0] - tf.constant(self.mean, tf.float32), self._vectors)
        return -tf.matmul(turned / (self._values + sigma**2), self._vectors, transpose_b=True)[..., tf.newaxis]


class CoinPrior(WavePrior):
    """A wave that is a constant, +level or -level."""

    kind = "coin"
    has_posterior_sample = True

    def __init__(self, length: int, level: float, **settings: Any) -> None:
        super().__init__(length, **settings)
        self.level = level

    def denoise(self, x: Any, sigma: Any) -> tf.Tensor:
        evidence = self.level * tf.reduce_sum(x, axis=[1, 2]) / per_example_sigma(sigma, x) ** 2
        return self.level * broadcast_to_event(tf.tanh(evidence), x) * tf.ones_like(x)

    def posterior_sample(self, y: Any, sigma: Any, seed: Any) -> tf.Tensor:
        evidence = self.level * tf.reduce_sum(y, axis=[1, 2]) / per_example_sigma(sigma, y) ** 2
        up = uniform(tf.shape(evidence), seed) < tf.sigmoid(2.0 * evidence)
        return self.level * broadcast_to_event(tf.where(up, 1.0, -1.0), y) * tf.ones_like(y)

    def score(self, x: Any, sigma: Any = None) -> tf.Tensor:
        column = broadcast_to_event(per_example_sigma(sigma, x), x)
        return (self.denoise(x, sigma) - x) / column**2


class RunawayPrior(WavePrior):
    """A denoiser that returns twice its input, as a network may far from its training data."""

    kind = "runaway"

    def denoise(self, x: Any, sigma: Any) -> tf.Tensor:
        return 2.0 * x

    def score(self, x: Any, sigma: Any = None) -> tf.Tensor:
        return x / tf.cast(sigma, x.dtype) ** 2


class SpectraPrior(Prior):
    """A mixture of equal Gaussians around the features of known sounds, over log-magnitude spectra."""

    kind = "spectra"

    def __init__(self, front_end: SpectralFrontEnd, sounds: np.ndarray, deviation: float = 0.05) -> None:
        self.front_end, self.domain, self.length = front_end, front_end.domain, sounds.shape[-1]
        self.events = self.analyse(tf.constant(sounds, tf.float32))
        self.event_shape = tuple(self.events.shape[1:])
        self.deviation, self.smallest_sigma, self.largest_sigma = deviation, 0.01, 100.0

    def _log_weights(self, x: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
        known, x = tf.reshape(self.events, [len(self.events), -1]), tf.reshape(x, [tf.shape(x)[0], -1])
        distance = tf.reduce_sum((x[:, tf.newaxis] - known) ** 2, axis=-1)
        return -0.5 * distance / (sigma**2 + self.deviation**2)[:, tf.newaxis]

    def log_prob(self, x: Any, sigma: Any = None) -> tf.Tensor:
        sigma = per_example_sigma(self.smallest_sigma if sigma is None else sigma, x)
        peak = 0.5 * self.dimensions * tf.math.log(math.tau * (sigma**2 + self.deviation**2))
        return tf.reduce_logsumexp(self._log_weights(x, sigma), axis=-1) - math.log(len(self.events)) - peak

    def score(self, x: Any, sigma: Any = None) -> tf.Tensor:
        sigma = per_example_sigma(self.smallest_sigma if sigma is None else sigma, x)
        nearest = tf.tensordot(tf.nn.softmax(self._log_weights(x, sigma)), self.events, axes=1)
        return (nearest - x) / broadcast_to_event(sigma**2 + self.deviation**2, x)

    def sample(self, num: int, seed: Any, sigma: Any = None) -> tf.Tensor:
        raise NotImplementedError


#: Notes that the priors of ``spectra_priors`` know, in Hz.
NOTES = (220.0, 330.0, 495.0, 740.0)


def notes(kind: str, num: int, length: int, seed: int) -> np.ndarray:
    """Draw ``num`` sounds of a toy class (num, length) at :data:`NOTES` and at any phase, at 16 kHz."""
    rng = np.random.default_rng(seed)
    frequency = rng.choice(NOTES, num)
    wave = toy.render(kind, frequency, rng.uniform(size=num), rng.uniform(0.8, 1.0, num), length, 16000)
    return wave.numpy().astype(np.float32)


@pytest.fixture(scope="session")
def spectra_priors() -> Callable[..., list[SpectraPrior]]:
    """Make priors over the spectra of toy classes: spectra_priors(kinds, front_end)."""

    def make(kinds: Sequence[str], front_end: SpectralFrontEnd, length: int = 1024) -> list[SpectraPrior]:
        return [SpectraPrior(front_end, notes(kind, 96, length, seed)) for seed, kind in enumerate(kinds, 1)]

    return make


@pytest.fixture
def runaway_priors() -> list[Prior]:
    """Two priors over 16 samples that run away."""
    return [RunawayPrior(16), RunawayPrior(16)]


@pytest.fixture
def gaussian_priors() -> Callable[..., list[GaussianPrior]]:
    """Make Gaussian priors with different means and covariances: gaussian_priors(num_sources, time)."""

    def make(num_sources: int, time: int, **settings: Any) -> list[GaussianPrior]:
        rng = np.random.default_rng(time)
        shapes = rng.normal(size=(num_sources, time, time)) / np.sqrt(time)
        means = rng.normal(size=(num_sources, time))
        return [
            GaussianPrior(mean, shape @ shape.T + 0.3 * np.eye(time), **settings)
            for mean, shape in zip(means, shapes, strict=True)
        ]

    return make


@pytest.fixture
def coin_priors() -> Callable[..., list[CoinPrior]]:
    """Make coins of given levels: coin_priors(levels, time)."""

    def make(levels: Sequence[float], time: int, **settings: Any) -> list[CoinPrior]:
        return [CoinPrior(time, level, **settings) for level in levels]

    return make


@pytest.fixture(scope="session")
def toy_priors() -> list[Prior]:
    """Ideal priors of the four toy classes over 512 samples at 16 kHz, on a coarse grid that is fast."""
    grid = {"num_phases": 16, "num_refined": 1, "num_subcells": 16, "num_rounds": 1}
    return [priors.build("ideal_toy", length=512, source=kind, sample_rate=16000, **grid) for kind in KINDS]
