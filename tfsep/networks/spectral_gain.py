r"""A filter network: from the spectrum of a frame it sets complex gains, and a WaveNet corrects the result.

With :math:`X` the zero-padded spectrum of a frame x of n samples (2 n points, so gains filter
without wrapping round) and :math:`M` its log-magnitudes under a Hann taper, a residual multilayer
perceptron reads M and proposes a complex gain per bin, and a WaveNet adds what no time-constant
filter can do:

.. math:: f = \mathrm{irfft}(G(M, c) \odot X)_{1..n}, \qquad \mathrm{output} = f + \mathrm{WaveNet}([x, f], c).

Periodic sounds are a few lines in the spectrum: which bins belong together is seen at once there,
while a convolution in time would have to learn it period by period. Every layer is modulated by the
condition c, the embedded noise level, as in FiLM (Perez et al. 2018, equation 2). Both outputs are
zero when initialised.
"""

from __future__ import annotations

from typing import Unpack

import keras
import tensorflow as tf

from tfsep.networks.layer_arguments import LayerArguments
from tfsep.networks.perceptron import ResidualBlocks
from tfsep.networks.refinement import fold, unfold
from tfsep.networks.wavenet import WaveNet

_FLOOR = 1e-3


@keras.saving.register_keras_serializable("tfsep")
class SpectralGain(keras.layers.Layer):
    """Map frames (batch, num_samples, 1) to (batch, num_samples, out_channels).

    Args:
        num_samples: n, the samples of a frame.
        out_channels: of the features out; each has gains of its own.
        width: hidden units of the perceptron; its blocks widen to twice as many.
        num_blocks: residual blocks of the perceptron.
        local_width: channels of the WaveNet, 0 for none.
        local_layers: gated layers of the WaveNet.
        local_block: samples that are one position of the WaveNet; must divide ``num_samples``.
        condition_width: size of the condition vector, 0 for none.

    Raises:
        ValueError: if ``local_block`` does not divide ``num_samples``.
    """

    def __init__(
        self,
        num_samples: int,
        out_channels: int,
        width: int = 128,
        num_blocks: int = 2,
        local_width: int = 48,
        local_layers: int = 3,
        local_block: int = 8,
        condition_width: int = 0,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        """Build the weights."""
        super().__init__(**kwargs)
        self.built = True
        self._settings = {
            "num_samples": num_samples,
            "out_channels": out_channels,
            "width": width,
            "num_blocks": num_blocks,
            "local_width": local_width,
            "local_layers": local_layers,
            "local_block": local_block,
            "condition_width": condition_width,
        }
        policy = self.dtype_policy
        self.num_samples, self.out_channels = num_samples, out_channels
        self.num_bins = num_samples + 1
        self.first = keras.layers.Dense(width, dtype=policy)
        self.first.build((None, self.num_bins))
        self.blocks = ResidualBlocks(width, num_blocks, condition_width, "affine", dtype=policy)
        self.gains = keras.layers.Dense(2 * out_channels * self.num_bins, kernel_initializer="zeros", dtype=policy)
        self.gains.build((None, width))
        self.local, self.local_block = None, local_block
        if local_width:
            if num_samples % local_block:
                raise ValueError(f"local_block must divide the {num_samples} samples of a frame, got {local_block}")
            self.local = WaveNet(
                (1 + out_channels) * local_block,
                out_channels * local_block,
                width=local_width,
                num_layers=local_layers,
                condition_width=condition_width,
                dtype=policy,
            )

    def filtered(self, x: tf.Tensor, condition: tf.Tensor | None = None) -> tf.Tensor:
        """Apply the gains alone: (batch, num_samples, 1) -> (batch, num_samples, out_channels)."""
        frame, points = x[..., 0], [2 * self.num_samples]
        taper = tf.signal.hann_window(self.num_samples, dtype=x.dtype)
        magnitude = tf.abs(tf.signal.rfft(frame * taper, points)) / tf.norm(taper)
        hidden = self.first((tf.math.log(magnitude + _FLOOR) + 2.0) / 2.0)
        parts = tf.reshape(self.gains(self.blocks(hidden, condition)), [-1, 2, self.out_channels, self.num_bins])
        spectrum = tf.signal.rfft(frame, points)[:, tf.newaxis] * tf.complex(parts[:, 0], parts[:, 1])
        wave = tf.signal.irfft(spectrum, points)[..., : self.num_samples]
        return tf.transpose(wave, [0, 2, 1])

    def call(self, x: tf.Tensor, condition: tf.Tensor | None = None) -> tf.Tensor:
        """Filter and correct; ``condition`` is (batch, condition_width)."""
        wave = self.filtered(x, condition)
        if self.local is None:
            return wave
        seen = fold(tf.transpose(tf.concat([x, wave], axis=-1), [0, 2, 1]), self.local_block)
        mended = unfold(self.local(seen, condition), self.local_block)
        return wave + tf.transpose(mended, [0, 2, 1])

    def get_config(self) -> dict[str, object]:
        """Return the constructor's arguments."""
        return {**super().get_config(), **self._settings}
