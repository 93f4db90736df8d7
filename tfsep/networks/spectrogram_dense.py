r"""A dense network over a whole spectrogram: every output depends on every frame and bin.

A residual multilayer perceptron, modulated by the noise condition as in FiLM (perceptron.py), reads
all features at once, and one matrix gives all outputs. Which tone sounds is one decision for all
partials and all frames; convolutions have to carry it from each to the next.
"""

from __future__ import annotations

import math
from typing import Unpack

import keras
import tensorflow as tf

from tfsep.networks.layer_arguments import LayerArguments
from tfsep.networks.perceptron import ResidualBlocks


@keras.saving.register_keras_serializable("tfsep")
class SpectrogramDense(keras.layers.Layer):
    """Map (batch, frame, bin, in_channels) to (batch, frame, bin, out_channels), zero when initialised.

    Args:
        positions: (frame, bin), the spatial shape in and out.
        in_channels, out_channels: of the features in and out.
        width: hidden units; blocks widen to twice as many.
        num_blocks: residual blocks.
        condition_width: size of the condition vector, 0 for none.
    """

    def __init__(
        self,
        positions: tuple[int, int],
        in_channels: int,
        out_channels: int,
        width: int = 256,
        num_blocks: int = 2,
        condition_width: int = 0,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        """Build the weights."""
        super().__init__(**kwargs)
        self.built = True
        self._settings = {
            "positions": tuple(positions),
            "in_channels": in_channels,
            "out_channels": out_channels,
            "width": width,
            "num_blocks": num_blocks,
            "condition_width": condition_width,
        }
        policy, size = self.dtype_policy, math.prod(positions)
        self.positions, self.out_channels = tuple(positions), out_channels
        self.first = keras.layers.Dense(width, dtype=policy)
        self.first.build((None, size * in_channels))
        self.blocks = ResidualBlocks(width, num_blocks, condition_width, dtype=policy)
        self.last = keras.layers.Dense(size * out_channels, kernel_initializer="zeros", dtype=policy)
        self.last.build((None, width))

    def call(self, x: tf.Tensor, condition: tf.Tensor | None = None) -> tf.Tensor:
        """Apply the network; ``condition`` is (batch, condition_width)."""
        hidden = self.first(tf.reshape(x, [-1, math.prod(x.shape[1:])]))
        return tf.reshape(self.last(self.blocks(hidden, condition)), [-1, *self.positions, self.out_channels])

    def get_config(self) -> dict[str, object]:
        """Return the constructor's arguments."""
        return {**super().get_config(), **self._settings}
