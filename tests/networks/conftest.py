"""Networks start with a silent last layer; tests that look behind it give every weight a random value."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf


def scramble(network: keras.layers.Layer, seed: int = 0, spread: float = 0.5) -> keras.layers.Layer:
    """Draw all weights anew from a normal distribution."""
    rng = np.random.default_rng(seed)
    for weight in network.trainable_variables:
        weight.assign(rng.normal(scale=spread, size=weight.shape))
    return network


def influence(network: keras.layers.Layer, x: tf.Tensor, place: tuple[int, ...]) -> np.ndarray:
    """|d output(place) / d input|, summed over channels, for one example: the shape of the input's spatial axes."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        output = tf.reduce_sum(network(x)[(0, *place)])
    return np.abs(tape.gradient(output, x)[0]).sum(-1)


@pytest.fixture(scope="session")
def scrambled() -> Callable[..., keras.layers.Layer]:
    return scramble


@pytest.fixture(scope="session")
def reach_of() -> Callable[..., np.ndarray]:
    return influence
