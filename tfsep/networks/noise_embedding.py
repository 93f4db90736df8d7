r"""Noise level as a vector: sines and cosines of :math:`\log\sigma` at geometric frequencies, then a dense layer."""

from __future__ import annotations

from typing import Unpack

import keras
import numpy as np
import tensorflow as tf

from tfsep.networks.layer_arguments import LayerArguments


@keras.saving.register_keras_serializable("tfsep")
class NoiseEmbedding(keras.layers.Layer):
    """Map sigma (batch,) > 0 to a vector (batch, width)."""

    def __init__(self, width: int, num_frequencies: int = 8, **kwargs: Unpack[LayerArguments]) -> None:
        """Set the width and the number of frequencies, 1/8 to 2 cycles per e-fold of sigma."""
        super().__init__(**kwargs)
        self.built = True
        self.width, self.num_frequencies = width, num_frequencies
        self.dense = keras.layers.Dense(width, activation="silu", dtype=self.dtype_policy)
        self.dense.build((None, 2 * num_frequencies + 1))

    def call(self, sigma: tf.Tensor) -> tf.Tensor:
        """Embed sigma."""
        frequencies = tf.constant(np.pi * 2.0 ** np.linspace(-2.0, 2.0, self.num_frequencies), sigma.dtype)
        log_sigma = tf.math.log(sigma)[:, tf.newaxis]
        angle = log_sigma * frequencies
        return self.dense(tf.concat([tf.sin(angle), tf.cos(angle), log_sigma / 4.0], axis=-1))

    def get_config(self) -> dict[str, object]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "width": self.width, "num_frequencies": self.num_frequencies}
