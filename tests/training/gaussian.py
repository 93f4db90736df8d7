"""A task small enough for tests: an affine flow that learns a correlated Gaussian in four dimensions.

As a script it trains in the folder given as its argument, for tests that kill it:

    python gaussian.py FOLDER NUM_STEPS
"""

from __future__ import annotations

import hashlib
import sys
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfsep.training.loop import fit
from tfsep.training.task import FitSettings, Task

DIMENSIONS = 4
MIXING = np.array([[1.0, 0, 0, 0], [0.5, 0.6, 0, 0], [0, 0.3, 0.4, 0], [0.2, 0, 0, 0.8]], dtype=np.float32)
SHIFT = np.array([0.3, -0.2, 0.0, 1.0], dtype=np.float32)
# Entropy of N(SHIFT, MIXING MIXING^T) in nats per dimension.
ENTROPY = 0.5 * np.log(2 * np.pi * np.e) + np.log(np.abs(np.linalg.det(MIXING))) / DIMENSIONS
BATCH = 16


class AffineFlow(keras.Model):
    """z = x L + b with z standard normal and L triangular, so log p(x) = log N(z; 0, I) + sum_i log|L_ii|."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = self.add_weight(shape=(DIMENSIONS, DIMENSIONS), initializer="identity", name="kernel")
        self.bias = self.add_weight(shape=(DIMENSIONS,), initializer="zeros", name="bias")

    def log_prob(self, x: tf.Tensor) -> tf.Tensor:
        lower = tf.linalg.band_part(tf.convert_to_tensor(self.kernel), -1, 0)
        z = tf.matmul(x, lower) + self.bias
        density = -0.5 * tf.reduce_sum(z**2 + np.float32(np.log(2 * np.pi)), axis=-1)
        return density + tf.reduce_sum(tf.math.log(tf.abs(tf.linalg.diag_part(lower))))


def negative_log_likelihood(
    model: AffineFlow, batch: tf.Tensor, seed: tf.Tensor
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    nats = -tf.reduce_mean(model.log_prob(batch)) / DIMENSIONS
    return nats, {"nats_per_dim": nats}


def noisy_negative_log_likelihood(
    model: AffineFlow, batch: tf.Tensor, seed: tf.Tensor
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    noise = 0.1 * tf.random.stateless_normal(tf.shape(batch), seed)
    return negative_log_likelihood(model, batch + noise, seed)


def batches(first_step: int) -> tf.data.Dataset:
    def draw(step: tf.Tensor) -> tf.Tensor:
        normal = tf.random.stateless_normal((BATCH, DIMENSIONS), tf.stack([tf.constant(5, tf.int64), step]))
        return tf.matmul(normal, MIXING, transpose_b=True) + SHIFT

    return tf.data.Dataset.counter(first_step).map(draw)


def gaussian_task(**changes: Any) -> Task:
    parts: dict[str, Any] = {
        "name": "gaussian",
        "build": AffineFlow,
        "objective": noisy_negative_log_likelihood,
        "dataset": batches,
        "sample_rate": 8000,
    }
    return Task(**{**parts, **changes})


def settings(**changes: Any) -> FitSettings:
    chosen = {"num_steps": 60, "warmup_steps": 5, "checkpoint_every": 20, "log_every": 10, "deterministic": False}
    return FitSettings(**{"learning_rate": 0.02, "weight_decay": 0.01, "ema_decay": 0.9, **chosen, **changes})


def fingerprint(model: keras.Model) -> str:
    return hashlib.sha256(b"".join(v.numpy().tobytes() for v in model.variables)).hexdigest()


if __name__ == "__main__":
    chosen = settings(num_steps=int(sys.argv[2]), deterministic=True, checkpoint_every=100)
    print(fingerprint(fit(gaussian_task(), sys.argv[1], chosen, seed=3)))
