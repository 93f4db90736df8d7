"""Layer normalization: the values of Keras, and derivatives of both orders against differences."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.signals import noise_tensor
from tfsep.networks.layer_normalization import LayerNormalization


@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_float16"])
def test_values_and_weights_are_those_of_keras(dtype: str, scrambled: Any) -> None:
    layer, peer = LayerNormalization(dtype=dtype), keras.layers.LayerNormalization(dtype=dtype)
    for each in (layer, peer):
        each.build((None, None, 4))
    scrambled(layer)
    peer.set_weights(layer.get_weights())
    given = 3.0 + noise_tensor(2, 5, 4)
    np.testing.assert_allclose(layer(given), peer(given), rtol=1e-3 if dtype == "mixed_float16" else 1e-5, atol=1e-6)
    assert layer(given).dtype == peer(given).dtype and layer.get_config().keys() == peer.get_config().keys()


def test_second_derivatives_are_right() -> None:
    """The slope of the sum of the cubed gradient, which Keras' layer gets wrong."""
    given, direction = (tf.cast(noise_tensor(2, 4, seed=seed), tf.float64) for seed in (0, 1))

    def slope_and_value(layer: Any, x: tf.Tensor) -> tuple[float, float]:
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                value = tf.reduce_sum(layer(x) ** 4)
            squared = tf.reduce_sum(inner.gradient(value, x) ** 3)
        return float(tf.reduce_sum(outer.gradient(squared, x) * direction)), float(squared)

    def error(kind: Any) -> float:
        layer = kind(dtype="float64")
        layer.build((None, 4))
        up, down = (slope_and_value(layer, given + step * direction)[1] for step in (1e-5, -1e-5))
        rise = (up - down) / 2e-5
        return abs(slope_and_value(layer, given)[0] - rise) / abs(rise)

    assert error(LayerNormalization) < 1e-6
    assert error(keras.layers.LayerNormalization) > 1e-2, "Keras is right now: use its layer"
