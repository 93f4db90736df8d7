r"""A network that filters over time: it reads a log-spectrogram and sets a real gain for every frame and bin.

With X the short-time spectrum of a wave x and M its log-magnitudes under a taper of unit norm,

.. math:: \mathrm{output} = \mathrm{istft}(G(M, c) \odot X),

where G is :class:`tfsep.networks.spectral_mask.TemporalMask`, modulated by the condition c, the
embedded noise level. The output is zero when initialised and keeps the phase of its input. For
sounds that last longer than a frame and change within an event; for events of one frame see
spectral_gain.py.
"""

from __future__ import annotations

from typing import Unpack

import keras
import tensorflow as tf

from tfsep.audio.stft import check_framing, inverse_stft, stft
from tfsep.networks.layer_arguments import LayerArguments
from tfsep.networks.spectral_mask import TemporalMask

_FLOOR = 1e-3


@keras.saving.register_keras_serializable("tfsep")
class ShortTimeGain(keras.layers.Layer):
    """Map waves (batch, num_samples, 1) to (batch, num_samples, out_channels).

    Args:
        num_samples: of a wave.
        out_channels: 1.
        frame_length, frame_step: samples, of the short-time transform.
        width, num_blocks, dilation_cycle: of the network that sets the gains.
        condition_width: size of the condition vector, 0 for none.

    Raises:
        ValueError: for several channels out, or a framing without an inverse.
    """

    def __init__(
        self,
        num_samples: int,
        out_channels: int = 1,
        frame_length: int = 2048,
        frame_step: int = 512,
        width: int = 160,
        num_blocks: int = 6,
        dilation_cycle: int = 4,
        condition_width: int = 0,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        """Build the weights."""
        super().__init__(**kwargs)
        if out_channels != 1:
            raise ValueError(f"a network of real gains has one channel out, got {out_channels}")
        self._settings = {
            "num_samples": num_samples,
            "out_channels": out_channels,
            "frame_length": frame_length,
            "frame_step": frame_step,
            "width": width,
            "num_blocks": num_blocks,
            "dilation_cycle": dilation_cycle,
            "condition_width": condition_width,
        }
        self.num_samples, self.frame_length, self.frame_step = num_samples, frame_length, frame_step
        num_bins = check_framing(frame_length, frame_step) // 2 + 1
        policy = self.dtype_policy
        self.gains = TemporalMask(
            num_bins, width, num_blocks, dilation_cycle, condition_width=condition_width, zero_init=True, dtype=policy
        )

    def call(self, x: tf.Tensor, condition: tf.Tensor | None = None) -> tf.Tensor:
        """Filter; ``condition`` is (batch, condition_width)."""
        spectrum = stft(x[..., 0], self.frame_length, self.frame_step)
        taper = tf.norm(tf.signal.hann_window(self.frame_length, dtype=x.dtype))
        features = (tf.math.log(tf.abs(spectrum) / taper + _FLOOR) + 2.0) / 2.0
        gains = self.gains(features, condition)[..., :-1]
        wave = inverse_stft(
            tf.cast(gains, spectrum.dtype) * spectrum, self.frame_length, self.frame_step, length=self.num_samples
        )
        return wave[..., tf.newaxis]

    def get_config(self) -> dict[str, object]:
        """Return the constructor's arguments."""
        return {**super().get_config(), **self._settings}
