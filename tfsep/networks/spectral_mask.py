r"""Networks that read a log-spectrogram and propose a mask: one for a single wide frame, one over time.

Both map (batch, frame, bin_in) to (batch, frame, bin_out + 1): a mask logit per bin and, last, one
number per frame for the spread of the estimate. Output layers start small, so the masks start
nearly equal.
"""

from __future__ import annotations

from typing import Unpack

import keras
import tensorflow as tf

from tfsep.networks.dilated import DilatedConv
from tfsep.networks.layer_arguments import LayerArguments
from tfsep.networks.layer_normalization import LayerNormalization
from tfsep.networks.modulation import Modulation
from tfsep.networks.perceptron import ResidualBlocks


@keras.saving.register_keras_serializable("tfsep")
class FrameMask(keras.layers.Layer):
    """Residual multilayer perceptron (perceptron.py) over the bins of each frame by itself.

    Args:
        num_bins: of the frames that it reads; one more comes out.
        width: hidden units; blocks widen to twice as many.
        num_blocks: residual blocks.
    """

    def __init__(self, num_bins: int, width: int = 256, num_blocks: int = 3, **kwargs: Unpack[LayerArguments]) -> None:
        """Build the weights for ``num_bins`` bins in and out."""
        super().__init__(**kwargs)
        self._settings = {"num_bins": num_bins, "width": width, "num_blocks": num_blocks}
        policy = self.dtype_policy
        self.first = keras.layers.Dense(width, dtype=policy)
        self.first.build((None, None, num_bins))
        self.blocks = ResidualBlocks(width, num_blocks, dtype=policy)
        small = keras.initializers.VarianceScaling(0.1)
        self.last = keras.layers.Dense(num_bins + 1, kernel_initializer=small, dtype=policy)
        self.last.build((None, None, width))

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Propose logits: (batch, frame, bin) -> (batch, frame, bin + 1), the last entry a log-spread."""
        return self.last(self.blocks(self.first(x)))

    def get_config(self) -> dict[str, object]:
        """Return the constructor's arguments."""
        return {**super().get_config(), **self._settings}


@keras.saving.register_keras_serializable("tfsep")
class TemporalMask(keras.layers.Layer):
    """Residual dilated convolutions over frames with the bins as channels.

    Blocks of LayerNorm, kernel-3 dilated convolution, SiLU, pointwise. A condition, where there is
    one, modulates what goes into each SiLU, as in FiLM (modulation.py).

    Args:
        num_bins: of the frames that it reads; one more comes out.
        width: channels of the convolutions.
        num_blocks: residual blocks.
        dilation_cycle: dilations 1, 2, 4, ... frames repeat every so many blocks.
        condition_width: size of the condition vector, 0 for none.
        zero_init: start the last layer at zero, so that all outputs begin at zero.
        num_outputs: how many times ``num_bins`` + 1 numbers come out, side by side.
    """

    def __init__(
        self,
        num_bins: int,
        width: int = 160,
        num_blocks: int = 6,
        dilation_cycle: int = 4,
        condition_width: int = 0,
        zero_init: bool = False,
        num_outputs: int = 1,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        """Build the weights for ``num_bins`` bins in and out."""
        super().__init__(**kwargs)
        self._settings = {
            "num_bins": num_bins,
            "width": width,
            "num_blocks": num_blocks,
            "dilation_cycle": dilation_cycle,
            "condition_width": condition_width,
            "zero_init": zero_init,
            "num_outputs": num_outputs,
        }
        policy = self.dtype_policy
        self.first = keras.layers.Dense(width, dtype=policy)
        self.first.build((None, None, num_bins))
        blocks = range(num_blocks)
        self.norms = [LayerNormalization(dtype=policy) for _ in blocks]
        self.convs = [DilatedConv(width, width, 3, 2 ** (i % dilation_cycle), dtype=policy) for i in blocks]
        self.narrow = [keras.layers.Dense(width, dtype=policy) for _ in blocks]
        for norm, narrow in zip(self.norms, self.narrow, strict=True):
            norm.build((None, None, width))
            narrow.build((None, None, width))
        modulated = blocks if condition_width else ()
        self.films = [Modulation(condition_width, width, "film", dtype=policy) for _ in modulated]
        small = keras.initializers.Zeros() if zero_init else keras.initializers.VarianceScaling(0.1)
        self.last = keras.layers.Dense(num_outputs * (num_bins + 1), kernel_initializer=small, dtype=policy)
        self.last.build((None, None, width))

    def call(self, x: tf.Tensor, condition: tf.Tensor | None = None) -> tf.Tensor:
        """Propose logits: (batch, frame, bin), a condition (batch, condition_width) -> (batch, frame, bin + 1).

        With several outputs the last axis holds them one after the other.
        """
        hidden = self.first(x)
        for index, (norm, conv, narrow) in enumerate(zip(self.norms, self.convs, self.narrow, strict=True)):
            inner = conv(norm(hidden))
            if self.films:
                inner = self.films[index](inner, condition)
            hidden += narrow(tf.nn.silu(inner))
        return self.last(hidden)

    def get_config(self) -> dict[str, object]:
        """Return the constructor's arguments."""
        return {**super().get_config(), **self._settings}


@keras.saving.register_keras_serializable("tfsep")
class TrunkMask(keras.layers.Layer):
    """One :class:`TemporalMask` with an output for each source: (batch, frame, bin) to (batch, source, frame, bin + 1).

    Args:
        num_bins: of the frames that it reads.
        num_sources: of the masks.
        width, num_blocks, dilation_cycle: of the trunk.
        kwargs: of the Keras layer.
    """

    def __init__(
        self,
        num_bins: int,
        num_sources: int,
        width: int = 384,
        num_blocks: int = 8,
        dilation_cycle: int = 4,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        """Build the weights."""
        super().__init__(**kwargs)
        self._settings = {
            "num_bins": num_bins,
            "num_sources": num_sources,
            "width": width,
            "num_blocks": num_blocks,
            "dilation_cycle": dilation_cycle,
        }
        self.num_sources = num_sources
        self.trunk = TemporalMask(
            num_bins, width, num_blocks, dilation_cycle, num_outputs=num_sources, dtype=self.dtype_policy
        )

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Propose logits; the last entry of each frame is a log-spread."""
        found = self.trunk(x)
        shape = tf.shape(found)
        each = tf.reshape(found, [shape[0], shape[1], self.num_sources, found.shape[-1] // self.num_sources])
        return tf.transpose(each, [0, 2, 1, 3])

    def get_config(self) -> dict[str, object]:
        """Return the constructor's arguments."""
        return {**super().get_config(), **self._settings}
