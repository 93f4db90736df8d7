r"""How a condition vector reaches the features of a network, in one of three modes.

``additive``: :math:`u \leftarrow u + V c`, a bias that the condition moves. ``film``:
:math:`u \leftarrow (1 + A c) \odot u + V c`, a scale as well, so that a noise level can turn a
channel off (Perez et al. 2018, equation 2; the one in the scale lets it start near the identity).
``affine`` is ``film`` with a bias in both, and with the scale's weights before the shift's.
"""

from __future__ import annotations

from typing import Unpack

import keras
import tensorflow as tf

from tfsep.networks.layer_arguments import LayerArguments

CONDITIONINGS = ("additive", "film", "affine")


@keras.saving.register_keras_serializable("tfsep")
class Modulation(keras.layers.Layer):
    """Modulate features (batch, ..., channel) by a condition (batch, condition_width).

    Args:
        condition_width: size of the condition vector, at least 1.
        num_channels: channels of the features.
        conditioning: "additive", "film" or "affine".

    Raises:
        ValueError: for another conditioning.
    """

    def __init__(
        self, condition_width: int, num_channels: int, conditioning: str = "additive", **kwargs: Unpack[LayerArguments]
    ) -> None:
        """Build the weights."""
        super().__init__(**kwargs)
        self.built = True
        if conditioning not in CONDITIONINGS:
            raise ValueError(f"conditioning must be one of {', '.join(CONDITIONINGS)}, got {conditioning!r}")
        self.condition_width, self.num_channels, self.conditioning = condition_width, num_channels, conditioning
        units = num_channels if conditioning == "additive" else 2 * num_channels
        self.dense = keras.layers.Dense(units, use_bias=conditioning == "affine", dtype=self.dtype_policy)
        self.dense.build((None, condition_width))

    def call(self, features: tf.Tensor, condition: tf.Tensor) -> tf.Tensor:
        """Modulate the features; the shape stays."""
        raw = self.dense(condition)
        raw = tf.reshape(raw, [-1] + [1] * (features.shape.rank - 2) + [raw.shape[-1]])
        if self.conditioning == "additive":
            return features + raw
        first, second = tf.split(raw, 2, axis=-1)
        scale, shift = (first, second) if self.conditioning == "affine" else (second, first)
        return features * (1.0 + scale) + shift

    def get_config(self) -> dict[str, object]:
        """Return the constructor's arguments."""
        own = {name: getattr(self, name) for name in ("condition_width", "num_channels", "conditioning")}
        return {**super().get_config(), **own}
