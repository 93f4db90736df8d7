r"""A WaveNet along frequency: partials of one tone lie far apart, and its dilations reach from each to the others.

Each frame of (batch, frame, bin, channel) is read on its own, its bins in the place of time (wavenet.py). Where a
squeeze has moved frames into channels, one position is a bin over time.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfsep.networks.wavenet import WaveNet


@keras.saving.register_keras_serializable("tfsep")
class BinWaveNet(keras.layers.Layer):
    """Map (batch, frame, bin, in_channels) to (batch, frame, bin, out_channels), zero when initialised.

    Args:
        in_channels, out_channels: of the features in and out.
        condition_width: size of the condition vector, 0 for none.
        settings: further ones of :class:`tfsep.networks.wavenet.WaveNet`.
    """

    def __init__(
        self, in_channels: int, out_channels: int, condition_width: int = 0, name: str | None = None, **settings: Any
    ) -> None:
        """Build the weights."""
        policy = settings.pop("dtype", None)
        super().__init__(name=name, dtype=policy)
        self.built = True
        self._settings = {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "condition_width": condition_width,
            **settings,
        }
        self.wavenet = WaveNet(**self._settings, dtype=self.dtype_policy)

    def call(self, x: tf.Tensor, condition: tf.Tensor | None = None) -> tf.Tensor:
        """Apply the network; ``condition`` is (batch, condition_width)."""
        frames, bins, channels = x.shape[1:]
        flat = tf.reshape(x, [-1, bins, channels])
        if condition is not None:
            condition = tf.repeat(condition, frames, axis=0)
        found = self.wavenet(flat, condition)
        return tf.reshape(found, [-1, frames, bins, found.shape[-1]])

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), **self._settings}
