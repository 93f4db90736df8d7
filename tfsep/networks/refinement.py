r"""Refinement of waveforms behind spectral masks: a convolution adds what a mask cannot, which keeps phases.

Waves are folded into blocks of ``block`` samples that become channels, (batch, channel, time) to
(batch, time / block, channel * block), so that a few dilated layers see a whole segment at a
fraction of the cost.
"""

from __future__ import annotations

from typing import Unpack

import keras
import tensorflow as tf

from tfsep.networks.layer_arguments import LayerArguments
from tfsep.networks.wavenet import WaveNet


def fold(waves: tf.Tensor, block: int) -> tf.Tensor:
    """Fold (batch, channel, time) to (batch, time / block, channel * block); ``block`` must divide the time."""
    channels, time = waves.shape[1:]
    blocks = tf.reshape(waves, [-1, channels, time // block, block])
    return tf.reshape(tf.transpose(blocks, [0, 2, 1, 3]), [-1, time // block, channels * block])


def unfold(blocks: tf.Tensor, block: int) -> tf.Tensor:
    """Unfold (batch, time / block, channel * block) to (batch, channel, time), the inverse of :func:`fold`."""
    count, width = blocks.shape[1:]
    channels = width // block
    waves = tf.transpose(tf.reshape(blocks, [-1, count, channels, block]), [0, 2, 1, 3])
    return tf.reshape(waves, [-1, channels, count * block])


@keras.saving.register_keras_serializable("tfsep")
class WaveRefinement(keras.layers.Layer):
    """A non-causal WaveNet from a mixture and the estimates of its sources to their corrections, zero at first.

    Args:
        num_sources: N.
        block: samples folded into channels.
        width, num_layers, kernel_size, dilation_cycle: of the WaveNet.
    """

    def __init__(
        self,
        num_sources: int,
        block: int = 16,
        width: int = 64,
        num_layers: int = 6,
        kernel_size: int = 3,
        dilation_cycle: int = 6,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        """Build the weights."""
        super().__init__(**kwargs)
        self._settings = {
            "num_sources": num_sources,
            "block": block,
            "width": width,
            "num_layers": num_layers,
            "kernel_size": kernel_size,
            "dilation_cycle": dilation_cycle,
        }
        self.block = block
        self.network = WaveNet(
            (num_sources + 1) * block,
            num_sources * block,
            width=width,
            num_layers=num_layers,
            kernel_size=kernel_size,
            dilation_cycle=dilation_cycle,
            dtype=self.dtype_policy,
        )

    def call(self, waves: tf.Tensor) -> tf.Tensor:
        """Map mixture and estimates at about unit power, (batch, 1 + source, time), to (batch, source, time)."""
        return unfold(self.network(fold(waves, self.block)), self.block)

    def get_config(self) -> dict[str, object]:
        """Return the constructor's arguments."""
        return {**super().get_config(), **self._settings}
