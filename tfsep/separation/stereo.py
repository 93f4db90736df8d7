r"""The channels of a song together: mid and side, and the multichannel Wiener filter.

Channels are separated one at a time. Two can be transformed to mid and side first,

.. math:: m = (l + r) / \sqrt 2, \quad s = (l - r) / \sqrt 2,

so that what is panned to the middle is in one of the two signals, with less beside it, and the
stems are transformed back. After that, the panning of a source distinguishes it from others in the
same bin. With the estimates :math:`y_k(t, f)` of one segment, a vector over channels, and the
mixture :math:`x = \sum_k y_k`,

.. math::

    v_k = \sqrt{\overline{|y_k|^2}\;\overline{|x|^2}}, \quad
    R_k(f) = C \frac{\sum_t y_k y_k^H}{\sum_t |y_k|^2}, \quad
    \hat y_k = v_k R_k \Big(\sum_j v_j R_j\Big)^{-1} x,

the bars being means over the C channels. The filter is that of Duong, Vincent and Gribonval (2010),
the spatial covariances weighted by power instead of updated by EM; its power spectra are
:math:`|y_k|^2` there. With the geometric mean instead, sources at the same position keep their
masks, which were fitted to ratios of magnitudes, where power would sharpen them. Draws keep their
distance from their mean, which alone is filtered.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfsep.audio.stft import inverse_stft, stft

_FRAME_LENGTH, _FRAME_STEP = 2048, 512
_LEAST_COVARIANCE, _LEAST_POWER = 1e-4, 1e-6
_TINY = 1e-20


def mid_side(waveform: np.ndarray, axis: int) -> np.ndarray:
    """Transform left and right to mid and side, or back, along an axis of two channels; it is its own inverse."""
    left, right = np.split(waveform, 2, axis=axis)
    turned: np.ndarray = np.concatenate([left + right, left - right], axis=axis) * np.float32(0.5**0.5)
    return turned


def mid_side_of(waveform: tf.Tensor, axis: int) -> tf.Tensor:
    """Do what :func:`mid_side` does, in a graph."""
    left, right = tf.split(waveform, 2, axis=axis)
    return tf.concat([left + right, left - right], axis=axis) * 0.5**0.5


def _filter(stems: tf.Tensor) -> tf.Tensor:
    """Apply the filter above: (source, channel, time) -> the same."""
    spectra = stft(stems, _FRAME_LENGTH, _FRAME_STEP)
    mixture = tf.reduce_sum(spectra, axis=0)
    power = tf.reduce_mean(tf.abs(spectra) ** 2, axis=1)
    total = tf.reduce_mean(tf.abs(mixture) ** 2, axis=0)
    least = _LEAST_POWER * tf.reduce_mean(total) + _TINY
    # Each root by itself: the product of two small powers is no number of float32.
    spread = tf.cast(tf.sqrt(power + least) * tf.sqrt(total + least), spectra.dtype)
    covariance = tf.einsum("kctf,kdtf->kfcd", spectra, tf.math.conj(spectra))
    trace = tf.math.real(tf.linalg.trace(covariance))[..., tf.newaxis, tf.newaxis]
    num_channels = tf.shape(stems)[1]
    covariance *= tf.cast(tf.cast(num_channels, tf.float32) / (trace + _TINY), covariance.dtype)
    covariance += _LEAST_COVARIANCE * tf.eye(num_channels, dtype=covariance.dtype)
    whole = tf.einsum("ktf,kfcd->tfcd", spread, covariance)
    whitened = tf.linalg.solve(whole, tf.transpose(mixture, [1, 2, 0])[..., tf.newaxis])[..., 0]
    filtered = tf.einsum("ktf,kfcd,tfd->kctf", spread, covariance, whitened)
    return inverse_stft(filtered, _FRAME_LENGTH, _FRAME_STEP, length=tf.shape(stems)[-1])


_STEMS = tf.TensorSpec([None, None, None], tf.float32)
_compiled: Callable[[tf.Tensor], tf.Tensor] = tf.function(_filter, input_signature=[_STEMS], autograph=False)


def filtered_segments(stems: tf.Tensor) -> tf.Tensor:
    """Filter segments as :func:`filtered` does, in a graph: (segment, source, channel, time) -> the same."""

    def one(stems: tf.Tensor) -> tf.Tensor:
        return tf.where(tf.reduce_any(stems != 0.0), _filter(stems), stems)

    kind = tf.TensorSpec(stems.shape[1:], tf.float32)
    return tf.map_fn(one, stems, fn_output_signature=kind, parallel_iterations=1)


def filtered(stems: np.ndarray) -> np.ndarray:
    """Apply the multichannel Wiener filter to one segment; of several draws, to their mean.

    Args:
        stems: (num_samples, source, channel, time) float32 at mixture scale; over sources they sum
            to the mixture.

    Returns:
        The same shape; over sources they still sum to the mixture, up to the regularisation.
    """
    if stems.shape[2] < 2 or not stems.any():
        return stems
    mean = stems.mean(axis=0)
    return np.asarray(stems + (_compiled(tf.constant(mean)).numpy() - mean), np.float32)
