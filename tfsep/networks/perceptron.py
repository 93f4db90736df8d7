r"""A residual multilayer perceptron: the hidden layers of the networks that see a whole frame or spectrogram at once.

A block is :math:`h \leftarrow h + W_2\,\mathrm{silu}(\mathrm{modulate}(W_1\,\mathrm{norm}(h), c))`
with LayerNorm, 2 x width units inside and, where there is a condition c, a modulation of each of
them (modulation.py).
"""

from __future__ import annotations

from typing import Unpack

import keras
import tensorflow as tf

from tfsep.networks.layer_arguments import LayerArguments
from tfsep.networks.layer_normalization import LayerNormalization
from tfsep.networks.modulation import Modulation


@keras.saving.register_keras_serializable("tfsep")
class ResidualBlocks(keras.layers.Layer):
    """Map (batch, ..., width) to the same shape.

    Args:
        width: hidden units; blocks widen to twice as many.
        num_blocks: how many blocks.
        condition_width: size of the condition vector, 0 for none.
        conditioning: see :class:`tfsep.networks.modulation.Modulation`.

    Raises:
        ValueError: for another conditioning.
    """

    def __init__(
        self,
        width: int,
        num_blocks: int,
        condition_width: int = 0,
        conditioning: str = "film",
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        """Build the weights."""
        super().__init__(**kwargs)
        self.built = True
        self._settings = {
            "width": width,
            "num_blocks": num_blocks,
            "condition_width": condition_width,
            "conditioning": conditioning,
        }
        policy, blocks = self.dtype_policy, range(num_blocks)
        self.norms = [LayerNormalization(dtype=policy) for _ in blocks]
        self.wide = [keras.layers.Dense(2 * width, dtype=policy) for _ in blocks]
        self.narrow = [keras.layers.Dense(width, dtype=policy) for _ in blocks]
        for norm, wide, narrow in zip(self.norms, self.wide, self.narrow, strict=True):
            norm.build((None, width))
            wide.build((None, width))
            narrow.build((None, 2 * width))
        modulated = blocks if condition_width else ()
        self.films = [Modulation(condition_width, 2 * width, conditioning, dtype=policy) for _ in modulated]

    def call(self, hidden: tf.Tensor, condition: tf.Tensor | None = None) -> tf.Tensor:
        """Apply the blocks; ``condition`` is (batch, condition_width), None leaves out the modulation."""
        for index, (norm, wide, narrow) in enumerate(zip(self.norms, self.wide, self.narrow, strict=True)):
            inner = wide(norm(hidden))
            if condition is not None and self.films:
                inner = self.films[index](inner, condition)
            hidden += narrow(tf.nn.silu(inner))
        return hidden

    def get_config(self) -> dict[str, object]:
        """Return the constructor's arguments."""
        return {**super().get_config(), **self._settings}
