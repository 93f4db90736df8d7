r"""Uncertainty of a separation, from the spread of its samples.

Of K samples :math:`s^{(i)}`, the standard deviation per time is that of the values at one sample of
the waveform; per bin it is that of the complex short-time spectra, :math:`\sqrt{\frac{1}{K-1}
\sum_i |S^{(i)} - \bar S|^2}`, which counts phase as well as magnitude. Both are in units of
amplitude and of sources before gains, if the samples are.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tfsep import mixing
from tfsep.audio.stft import stft
from tfsep.axes import Sources, TensorLike
from tfsep.errors import InputError


def spread_over_time(samples: TensorLike) -> Sources:
    """Return the standard deviation at each time: (num_samples, batch, source, time) -> (batch, source, time).

    Raises:
        InputError: for fewer than two samples.
    """
    return _spread(tf.convert_to_tensor(samples))


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
    shape = tf.shape(samples)
    spectra = stft(tf.reshape(samples, [-1, samples.shape[-1]]), frame_length, frame_step)
    return _spread(tf.reshape(spectra, tf.concat([shape[:-1], tf.shape(spectra)[1:]], axis=0)))


def average(mixture: TensorLike, samples: TensorLike, gains: Sequence[float] | None = None) -> Sources:
    """Return the mean of samples, projected on the mixture.

    The samples are (num_samples, batch, source, time), the result (batch, source, time). The mean
    of K samples has (1 + 1/K) / 2 of the mean square error of one.
    """
    return mixing.project(mixture, tf.reduce_mean(tf.convert_to_tensor(samples), axis=0), gains)


def _spread(samples: tf.Tensor) -> tf.Tensor:
    """Return the standard deviation over the first axis."""
    count = samples.shape[0]
    if count is None or count < 2:
        raise InputError(f"the spread of samples needs at least two of them, got {count}")
    error = tf.abs(samples - tf.reduce_mean(samples, axis=0)) ** 2
    return tf.sqrt(tf.reduce_sum(error, axis=0) / (count - 1.0))
