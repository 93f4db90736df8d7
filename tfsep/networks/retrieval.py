r"""Attention over a learned memory of spectra, whose result is corrected bin by bin.

The log-spectrum of a frame is compared with K learned keys; a softmax with a learned temperature
blends K learned value spectra into a proposal V of the clean magnitudes, which takes the phase of
the frame. A perceptron that reads the log-spectra of the frame, of the proposal and of their
difference R sets two gains per bin,

.. math:: w = \mathrm{softmax}_k(\langle q, k_k \rangle / \tau), \qquad V = \sum_k w_k v_k, \qquad
          \mathrm{output} = \mathrm{irfft}\bigl((g_1 \odot V + g_2 \odot (|X| - V)) \odot X / |X|\bigr),

so that a sound that is in the memory is returned from it, and the rest is filtered. The attention
is that of Vaswani et al. 2017, equation 1, with parameters for keys and values. The output is zero
when initialised.
"""

from __future__ import annotations

from typing import Unpack

import keras
import tensorflow as tf

from tfsep.networks.layer_arguments import LayerArguments

_FLOOR = 1e-3


@keras.saving.register_keras_serializable("tfsep")
class Retrieval(keras.layers.Layer):
    """Map frames (batch, num_samples, 1) to (batch, num_samples, 1).

    Args:
        num_samples: samples of a frame.
        out_channels: must be 1.
        num_atoms: keys and values in the memory.
        width: size of a query and hidden units of the perceptron.
        condition_width: size of the condition vector, 0 for none.

    Raises:
        ValueError: for more than one output channel.
    """

    def __init__(
        self,
        num_samples: int,
        out_channels: int = 1,
        num_atoms: int = 256,
        width: int = 128,
        condition_width: int = 0,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        """Build the weights."""
        super().__init__(**kwargs)
        if out_channels != 1:
            raise ValueError(f"a retrieval network has one output channel, got {out_channels}")
        self._settings = {
            "num_samples": num_samples,
            "out_channels": out_channels,
            "num_atoms": num_atoms,
            "width": width,
            "condition_width": condition_width,
        }
        policy = self.dtype_policy
        self.num_samples, self.width, self.num_bins = num_samples, width, num_samples + 1
        normal = keras.initializers.RandomNormal(stddev=width**-0.5)
        self.query = keras.layers.Dense(width, dtype=policy)
        self.query.build((None, self.num_bins + condition_width))
        self.keys = self.add_weight(shape=(num_atoms, width), initializer=normal, name="keys")
        flat = keras.initializers.RandomNormal(mean=-3.0, stddev=0.5)
        self.log_values = self.add_weight(shape=(num_atoms, self.num_bins), initializer=flat, name="log_values")
        self.log_temperature = self.add_weight(shape=(), initializer="zeros", name="log_temperature")
        self.hidden = keras.layers.Dense(width, activation="silu", dtype=policy)
        self.hidden.build((None, 3 * self.num_bins + condition_width))
        self.gains = keras.layers.Dense(2 * self.num_bins, kernel_initializer="zeros", dtype=policy)
        self.gains.build((None, width))

    def weights_of(self, features: tf.Tensor) -> tf.Tensor:
        """Return the weight of each atom: log-spectra and condition (batch, ...) -> (batch, atom)."""
        query = keras.ops.normalize(self.query(features), axis=-1)
        keys = keras.ops.normalize(tf.convert_to_tensor(self.keys), axis=-1)
        sharpness = 10.0 * tf.exp(tf.convert_to_tensor(self.log_temperature))
        return tf.nn.softmax(sharpness * tf.matmul(query, keys, transpose_b=True))

    def call(self, x: tf.Tensor, condition: tf.Tensor | None = None) -> tf.Tensor:
        """Look up, blend and correct; ``condition`` is (batch, condition_width)."""
        points = [2 * self.num_samples]
        spectrum = tf.signal.rfft(x[..., 0], points)
        magnitude = tf.abs(spectrum)
        scale = tf.sqrt(tf.cast(self.num_samples, x.dtype))
        seen = _features(magnitude / scale)
        known = [] if condition is None else [condition]
        weights = self.weights_of(tf.concat([seen, *known], -1))
        value = tf.matmul(weights, tf.exp(tf.convert_to_tensor(self.log_values)))
        rest = magnitude / scale - value
        hidden = self.hidden(tf.concat([seen, _features(value), _features(tf.abs(rest)), *known], -1))
        first, second = tf.split(self.gains(hidden), 2, axis=-1)
        gains = scale * (first * value + second * rest) / tf.maximum(magnitude, 1e-6 * scale)
        wave = tf.signal.irfft(spectrum * tf.cast(gains, spectrum.dtype), points)
        return wave[:, : self.num_samples, tf.newaxis]

    def get_config(self) -> dict[str, object]:
        """Return the constructor's arguments."""
        return {**super().get_config(), **self._settings}


def _features(magnitude: tf.Tensor) -> tf.Tensor:
    return (tf.math.log(magnitude + _FLOOR) + 2.0) / 2.0
