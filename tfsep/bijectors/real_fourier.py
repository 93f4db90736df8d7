r"""The orthonormal Fourier transform of a real signal, as a reordering of its energy into complex bins.

For L samples y, L even, and bins b = 0 .. L/2 - 1,

.. math:: X_b = \sqrt{2 / L}\; e^{i \pi b (L - 1) / L} \sum_{n=0}^{L-1} y_n e^{-2 \pi i b n / L}
          \qquad (0 < b < L / 2),

and bin 0 holds the two real coefficients, those of frequency 0 and L/2, each over :math:`\sqrt L`.
The map is orthonormal: its log-determinant is zero, and white noise of standard deviation sigma
stays white, sigma in each of the L real coordinates. The fixed phase counts time from the middle of
the signal, so that a stationary sinusoid has one phase, up to its sign, in all the bins it reaches.

With ``num_parts`` P the samples are dealt out to P signals, number r the samples r, r + P, r + 2 P, ...,
and each is transformed like this, time still counted from the middle of all: its bin b is bin
r + P b of the event. A sinusoid below 1/P of half the sample rate so has the same bins in each part.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from tfsep.bijectors.step import Step


class RealFourier(Step):
    """Latent: complex bins as pairs, (L / 2, 2); data: samples, (L, 1).

    Args:
        dtype: float32 or float64.
        num_parts: signals that the samples are dealt out to, at least 1.
    """

    def __init__(self, dtype: tf.DType, num_parts: int = 1, name: str = "real_fourier") -> None:
        parameters = dict(locals())
        self.num_parts = num_parts
        super().__init__(2, dtype, parameters, name)

    def _turns(self, length: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the real and the imaginary part of the scaled phases of bins 1 .. L/2 - 1 of every part of L."""
        bins, parts = np.arange(1, length // 2), np.arange(self.num_parts)[:, np.newaxis]
        # Where the first sample of each part lies, in samples of the part from the middle of all.
        start = (parts - (self.num_parts - 1) / 2) / self.num_parts - (length - 1) / 2
        turns = math.sqrt(2.0 / length) * np.exp(-2j * np.pi * bins * start / length)
        return tf.constant(turns.real, self.dtype), tf.constant(turns.imag, self.dtype)

    def inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Map data to latent; see :meth:`Step.inverse_and_log_det`."""
        length = even_length(y.shape[1], self.num_parts)
        spectrum = tf.signal.rfft(tf.transpose(tf.reshape(y, [-1, length, self.num_parts]), [0, 2, 1]))
        real, imaginary = tf.math.real(spectrum), tf.math.imag(spectrum)
        cosine, sine = self._turns(length)
        inner_real, inner_imaginary = real[..., 1:-1], imaginary[..., 1:-1]
        first = tf.stack([real[..., :1], real[..., -1:]], axis=-1) / math.sqrt(length)
        turned = [inner_real * cosine - inner_imaginary * sine, inner_real * sine + inner_imaginary * cosine]
        bins = tf.concat([first, tf.stack(turned, axis=-1)], axis=2)
        together = tf.reshape(tf.transpose(bins, [0, 2, 1, 3]), [-1, y.shape[1] // 2, 2])
        return together, tf.zeros(tf.shape(y)[:1], y.dtype)

    def forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Map latent to data; see :meth:`Step.forward_and_log_det`."""
        length = even_length(2 * x.shape[1], self.num_parts)
        bins = tf.transpose(tf.reshape(x, [-1, length // 2, self.num_parts, 2]), [0, 2, 1, 3])
        cosine, sine = self._turns(length)
        scale = length / 2.0
        real, imaginary = bins[:, :, 1:, 0], bins[:, :, 1:, 1]
        ends = bins[:, :, 0] * math.sqrt(length)
        inner_real, inner_imaginary = real * cosine + imaginary * sine, imaginary * cosine - real * sine
        whole_real = tf.concat([ends[..., :1], scale * inner_real, ends[..., 1:]], axis=-1)
        whole_imaginary = tf.pad(scale * inner_imaginary, [[0, 0], [0, 0], [1, 1]])
        waves = tf.signal.irfft(tf.complex(whole_real, whole_imaginary), [length])
        wave = tf.reshape(tf.transpose(waves, [0, 2, 1]), [-1, 2 * x.shape[1], 1])
        return wave, tf.zeros(tf.shape(x)[:1], x.dtype)

    def _inverse_event_shape(self, output_shape: tf.TensorShape) -> tf.TensorShape:
        even_length(output_shape[0], self.num_parts)
        return tf.TensorShape([output_shape[0] // 2, 2])

    def _forward_event_shape(self, input_shape: tf.TensorShape) -> tf.TensorShape:
        return tf.TensorShape([2 * input_shape[0], 1])

    def _inverse_event_shape_tensor(self, output_shape: tf.Tensor) -> tf.Tensor:
        return tf.stack([output_shape[0] // 2, 2])

    def _forward_event_shape_tensor(self, input_shape: tf.Tensor) -> tf.Tensor:
        return tf.stack([2 * input_shape[0], 1])


def even_length(length: int, num_parts: int = 1) -> int:
    """Return the samples of each part of a signal, which has as many real coordinates in its bins.

    Raises:
        ValueError: for a length that is no multiple of twice the number of parts.
    """
    each, left = divmod(length, num_parts)
    if left or each < 2 or each % 2:
        few = "an even number of samples, at least 2" if num_parts == 1 else f"a multiple of {2 * num_parts} samples"
        raise ValueError(f"the real Fourier transform takes {few}, got {length}")
    return each
