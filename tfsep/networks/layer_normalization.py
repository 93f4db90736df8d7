r"""Layer normalization whose second derivatives are right.

The layer of Keras takes mean and variance from ``tf.nn.moments``, which holds the mean fixed in the
variance :math:`v = \frac1D \sum_i (x_i - \mu)^2`. First derivatives are right all the same, because
:math:`\partial v / \partial \mu = 0`; second derivatives lack
:math:`\partial^2 v / \partial \mu^2 = 2`. A loss that is made of scores, gradients themselves, needs
these.
"""

from __future__ import annotations

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("tfsep")
class LayerNormalization(keras.layers.LayerNormalization):
    """Map (batch, ..., channel) to the same shape, every vector of channels with its mean and variance removed.

    Ba, Kiros and Hinton, "Layer Normalization", 2016, equations (3) and (4). Outputs, weights and
    settings are those of :class:`keras.layers.LayerNormalization` over the last axis.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Normalise, in float32 at least."""
        x = tf.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
        mean = tf.reduce_mean(x, axis=-1, keepdims=True)
        variance = tf.reduce_mean(tf.math.squared_difference(x, mean), axis=-1, keepdims=True)
        gain = tf.math.rsqrt(variance + self.epsilon) * tf.cast(self.gamma, x.dtype)
        return tf.cast(x * gain + (tf.cast(self.beta, x.dtype) - mean * gain), self.compute_dtype)
