"""Priors whose numbers are known: stationary Gaussians with or without a density, and flows that scale."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep.audio import front_end as front_ends
from tfsep.evaluation.excerpts import IsolatedExcerpts, toy_excerpts
from tfsep.evaluation.prior_set import PriorSet
from tfsep.priors.base import Prior, per_example_sigma

LENGTH, RATE = 64, 16000
PAIR = ("sine", "square")


class SpectralGaussian(Prior):
    """N(0, C) with C circulant of a given power spectrum (time,): everything about it is known in closed form."""

    kind = "gaussian"
    smallest_sigma, largest_sigma = 0.01, 10.0

    def __init__(self, power: np.ndarray, front_end: Any = None, has_log_prob: bool = True) -> None:
        self.front_end = front_end or front_ends.build("wave")
        self.domain, self.has_log_prob = self.front_end.domain, has_log_prob
        self.power = tf.constant(power, tf.float32)
        self.event_shape = (len(power), 1)

    def _variance(self, x: tf.Tensor, sigma: Any) -> tf.Tensor:
        sigma = per_example_sigma(self.smallest_sigma if sigma is None else sigma, x)
        return self.power + sigma[:, tf.newaxis] ** 2

    def _spectrum(self, x: tf.Tensor) -> tf.Tensor:
        return tf.signal.fft(tf.cast(x[..., 0], tf.complex64)) / math.sqrt(x.shape[1])

    def log_prob(self, x: Any, sigma: Any = None) -> tf.Tensor:
        if not self.has_log_prob:
            raise NotImplementedError("this prior has only a score")
        x = tf.cast(x, tf.float32)
        variance = self._variance(x, sigma)
        energy = tf.abs(self._spectrum(x)) ** 2 / variance
        return -0.5 * tf.reduce_sum(energy + tf.math.log(math.tau * variance), axis=-1)

    def score(self, x: Any, sigma: Any = None) -> tf.Tensor:
        x = tf.cast(x, tf.float32)
        scaled = self._spectrum(x) / tf.cast(self._variance(x, sigma), tf.complex64)
        return -tf.math.real(tf.signal.ifft(scaled) * math.sqrt(x.shape[1]))[..., tf.newaxis]

    def sample(self, num: int, seed: Any, sigma: Any = None) -> tf.Tensor:
        white = tf.random.stateless_normal((num, *self.event_shape), seed)
        scale = tf.sqrt(self._variance(white, sigma))
        return tf.math.real(tf.signal.ifft(self._spectrum(white) * tf.cast(scale, tf.complex64)))[
            ..., tf.newaxis
        ] * math.sqrt(self.event_shape[0])


class CleanGaussian(SpectralGaussian):
    """The same with one density only, that of its smallest noise level, as a clean flow has."""

    smallest_sigma = largest_sigma = 0.0

    def _variance(self, x: tf.Tensor, sigma: Any) -> tf.Tensor:
        if sigma is not None:
            raise ValueError("a clean prior: sigma must be None")
        return self.power[tf.newaxis] + 0.01**2


def fitted(data: IsolatedExcerpts, source: str) -> np.ndarray:
    """Compute the power spectrum of a source's training excerpts."""
    return np.mean(np.abs(np.fft.fft(data.excerpts(source, 256, "training"), norm="ortho")) ** 2, axis=0)


@pytest.fixture(scope="session")
def data() -> IsolatedExcerpts:
    """Sines and square waves of 64 samples."""
    return toy_excerpts(PAIR, RATE, LENGTH, 3, free=False)


@pytest.fixture(scope="session")
def gaussians(data: IsolatedExcerpts) -> PriorSet:
    """A Gaussian for each of the two, fitted to its training excerpts."""
    return PriorSet("gaussians", {s: SpectralGaussian(fitted(data, s)) for s in PAIR}, RATE, LENGTH)


@pytest.fixture(scope="session")
def kinds() -> dict[str, type[SpectralGaussian]]:
    """The classes, for other mixtures of them."""
    return {"noisy": SpectralGaussian, "clean": CleanGaussian}


class ScalingFlow:
    """N(0, (s^2 + sigma^2) I) as a flow that scales: its latents are the data over the deviation."""

    kind, domain, has_log_prob, dimensions = "scaling", "wave", True, LENGTH
    event_shape, smallest_sigma, largest_sigma = (LENGTH, 1), 0.01, 10.0

    def __init__(self, spread: float, front_end: Any) -> None:
        self.spread, self.front_end = spread, front_end
        self.analyse = lambda wave: front_end.analyse(wave)[0]

    def _std(self, x: tf.Tensor, sigma: Any) -> tf.Tensor:
        level = tf.broadcast_to(tf.cast(self.smallest_sigma if sigma is None else sigma, tf.float32), tf.shape(x)[:1])
        return tf.sqrt(self.spread**2 + level**2)

    def encode(self, x: Any, sigma: Any = None) -> tuple[tf.Tensor, tf.Tensor]:
        std = self._std(x, sigma)
        return x / std[:, tf.newaxis, tf.newaxis], -LENGTH * tf.math.log(std)

    def decode(self, z: Any, sigma: Any = None) -> tf.Tensor:
        return z * self._std(z, sigma)[:, tf.newaxis, tf.newaxis]

    def log_prob(self, x: Any, sigma: Any = None) -> tf.Tensor:
        z, log_det = self.encode(x, sigma)
        return log_det - 0.5 * tf.reduce_sum(z**2, axis=[1, 2]) - 0.5 * LENGTH * math.log(math.tau)

    def score(self, x: Any, sigma: Any = None) -> tf.Tensor:
        return -x / (self._std(x, sigma) ** 2)[:, tf.newaxis, tf.newaxis]

    def denoise(self, x: Any, sigma: Any) -> tf.Tensor:
        return x * (self.spread**2 / self._std(x, sigma) ** 2)[:, tf.newaxis, tf.newaxis]


@pytest.fixture(scope="session")
def flows(gaussians: PriorSet) -> PriorSet:
    """Two flows of which the narrow one is the better for no source once its log-determinant is gone."""
    front_end = gaussians.priors["sine"].front_end
    made: Any = {"sine": ScalingFlow(0.6, front_end), "square": ScalingFlow(0.9, front_end)}
    return PriorSet("scaling", made, RATE, LENGTH)
