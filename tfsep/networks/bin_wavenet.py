r"""A WaveNet along frequency: partials of one tone lie far apart, and its dilations reach from each to the others.

Each frame of (batch, frame, bin, channel) is read on its own, its bins in the place of time
(wavenet.py). Where a squeeze has moved frames into channels, one position is a bin over time.
"""

from __future__ import annotations

from typing import Unpack

import keras
import tensorflow as tf

from tfsep.networks.layer_arguments import LayerArguments
from tfsep.networks.wavenet import WaveNet


@keras.saving.register_keras_serializable("tfsep")
class BinWaveNet(keras.layers.Layer):
    """Map (batch, frame, bin, in_channels) to (batch, frame, bin, out_channels), zero when initialised.

    Args:
        in_channels, out_channels: of the features in and out.
        width, num_layers, kernel_size, dilation_base, dilation_cycle, condition_width,
            conditioning: of the WaveNet, see :class:`tfsep.networks.wavenet.WaveNet`.
        kwargs: of the Keras layer.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        width: int = 48,
        num_layers: int = 6,
        kernel_size: int = 3,
        dilation_base: int = 2,
        dilation_cycle: int = 6,
        condition_width: int = 0,
        conditioning: str = "additive",
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        """Build the weights."""
        super().__init__(**kwargs)
        self.built = True
        self.wavenet = WaveNet(
            in_channels,
            out_channels,
            width=width,
            num_layers=num_layers,
            kernel_size=kernel_size,
            dilation_base=dilation_base,
            dilation_cycle=dilation_cycle,
            condition_width=condition_width,
            conditioning=conditioning,
            dtype=self.dtype_policy,
        )

    def call(self, x: tf.Tensor, condition: tf.Tensor | None = None) -> tf.Tensor:
        """Apply the network; ``condition`` is (batch, condition_width)."""
        frames, bins, channels = x.shape[1:]
        flat = tf.reshape(x, [-1, bins, channels])
        if condition is not None:
            condition = tf.repeat(condition, frames, axis=0)
        found = self.wavenet(flat, condition)
        return tf.reshape(found, [-1, frames, bins, found.shape[-1]])

    def get_config(self) -> dict[str, object]:
        """Return the constructor's arguments."""
        return {**self.wavenet.get_config(), **super().get_config()}
