"""Gaussian sources, priors of them with closed forms, and a posterior that can learn two numbers a source."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfsep.audio.front_end import WaveFrontEnd
from tfsep.priors.base import Prior, broadcast_to_event, per_example_sigma

TIME, GAINS, SEED = 6, (0.5, 0.25), (3, 4)


class Gaussian(Prior):
    """N(0, variance I) over waves, with or without a density."""

    kind, domain = "gaussian", "wave"
    front_end = WaveFrontEnd()
    smallest_sigma = 0.01

    def __init__(self, variance: float, has_log_prob: bool = True) -> None:
        self.event_shape, self.variance, self.has_log_prob = (TIME, 1), variance, has_log_prob

    def log_prob(self, x: Any, sigma: Any = None) -> tf.Tensor:
        variance = self.variance + broadcast_to_event(per_example_sigma(sigma, x), x) ** 2
        return tf.reduce_sum(-0.5 * x**2 / variance - 0.5 * tf.math.log(math.tau * variance), axis=[1, 2])

    def score(self, x: Any, sigma: Any = None) -> tf.Tensor:
        return -x / (self.variance + broadcast_to_event(per_example_sigma(sigma, x), x) ** 2)

    def sample(self, num: int, seed: Any, sigma: Any = None) -> tf.Tensor:
        return math.sqrt(self.variance) * tf.random.stateless_normal((num, *self.event_shape), seed)


class Free(keras.Model):
    """A posterior whose mean is a number of its own times the mixture, and whose spread is a number of its own."""

    family, gains = "gaussian", GAINS

    def __init__(self) -> None:
        super().__init__()
        self.share = self.add_weight(shape=(2,), initializer="zeros", name="share")
        self.log_spread = self.add_weight(shape=(2,), initializer="zeros", name="log_spread")

    def call(self, mixture: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        means = tf.convert_to_tensor(self.share)[:, tf.newaxis] * mixture[:, tf.newaxis]
        return means, tf.convert_to_tensor(self.log_spread)[:, tf.newaxis] * tf.ones_like(means)

    def draw(self, mixture: tf.Tensor, num_samples: int, seed: Any) -> tuple[tf.Tensor, tf.Tensor]:
        means, spread = self(mixture)
        noise = tf.random.stateless_normal((num_samples, *means.shape), seed)
        log_q = -tf.reduce_sum(0.5 * noise**2 + spread + 0.5 * math.log(math.tau), axis=-1)
        return means + tf.exp(spread) * noise, log_q

    def log_prob_of_error(self, mixture: tf.Tensor, means: tf.Tensor, spread: tf.Tensor, error: tf.Tensor) -> tf.Tensor:
        return -tf.reduce_sum(0.5 * (error * tf.exp(-spread)) ** 2 + spread + 0.5 * math.log(math.tau), axis=-1)


def sources(batch: int = 40) -> tf.Tensor:
    scale = np.array([[1.0], [2.0]])
    return tf.constant(scale * np.random.default_rng(0).normal(size=(batch, 2, TIME)), tf.float32)


PRIORS = [Gaussian(1.0), Gaussian(4.0)]
