"""The ideal ratio mask: an upper bound for soft masks on the mixture's spectrogram."""

from __future__ import annotations

import tensorflow as tf

from tfsep.audio.stft import inverse_stft, stft
from tfsep.axes import TensorLike

_EPSILON = 1e-10


def ideal_ratio_mask(
    sources: TensorLike, mixture: TensorLike, frame_length: int = 2048, frame_step: int = 512
) -> tf.Tensor:
    r"""Separate by the soft masks that follow from the true sources, with the phase of the mixture.

    .. math:: \hat S_k = \frac{|S_k|}{\sum_j |S_j|} M

    Args:
        sources: (..., source, time), the true sources as they are in the mixture (a_k s_k).
        mixture: (..., time).
        frame_length: samples of a frame.
        frame_step: samples between the starts of two frames, at most half a frame.

    Returns:
        (..., source, time) float32 estimates at mixture scale. Where all sources are silent the
        mixture is shared equally, so the estimates sum to the mixture.
    """
    sources = tf.convert_to_tensor(sources, tf.float32)
    mixture = tf.convert_to_tensor(mixture, tf.float32)
    magnitude = tf.abs(stft(sources, frame_length, frame_step)) + _EPSILON
    mask = magnitude / tf.reduce_sum(magnitude, axis=-3, keepdims=True)
    spectrum = stft(mixture, frame_length, frame_step)[..., tf.newaxis, :, :]
    masked = tf.cast(mask, spectrum.dtype) * spectrum
    return inverse_stft(masked, frame_length, frame_step, length=tf.shape(sources)[-1])
