r"""Uncertainty of a separation, from the spread of its samples.

Of the complex short-time spectra of K samples :math:`s^{(i)}`, the standard deviation per bin is
:math:`\sqrt{\frac{1}{K-1} \sum_i |S^{(i)} - \bar S|^2}`, which counts phase as well as magnitude, in
units of amplitude. (The standard deviation per time is ``samples.std(axis=0, ddof=1)`` of numpy.)
"""

from __future__ import annotations

import tensorflow as tf

from tfsep.audio.stft import stft
from tfsep.axes import TensorLike
from tfsep.errors import InputError


def spread_over_bins(samples: TensorLike, frame_length: int, frame_step: int) -> tf.Tensor:
    """Return the standard deviation in each bin of the short-time spectra of samples.

    Args:
        samples: (num_samples, batch, source, time).
        frame_length, frame_step: of the transform (audio/stft.py), in samples of the waveform.

    Returns:
        (batch, source, frame, bin).

    Raises:
        InputError: for fewer than two samples.
    """
    samples = tf.convert_to_tensor(samples)
    count = samples.shape[0]
    if count is None or count < 2:
        raise InputError(f"the spread of samples needs at least two of them, got {count}")
    shape = tf.shape(samples)
    spectra = stft(tf.reshape(samples, [-1, samples.shape[-1]]), frame_length, frame_step)
    spectra = tf.reshape(spectra, tf.concat([shape[:-1], tf.shape(spectra)[1:]], axis=0))
    error = tf.abs(spectra - tf.reduce_mean(spectra, axis=0)) ** 2
    return tf.sqrt(tf.reduce_sum(error, axis=0) / (count - 1.0))
