r"""The orthonormal Fourier transform of a real signal, as a reordering of its energy into complex bins.

For L samples y, L even, and bins b = 0 .. L/2 - 1,

.. math:: X_b = \sqrt{2 / L}\; e^{i \pi b (L - 1) / L} \sum_{n=0}^{L-1} y_n e^{-2 \pi i b n / L}
          \qquad (0 < b < L / 2),

and bin 0 holds the two real coefficients, those of frequency 0 and L/2, each over :math:`\sqrt L`.
The map is orthonormal: its log-determinant is zero, and white noise of standard deviation sigma
stays white, sigma in each of the L real coordinates. The fixed phase counts time from the middle of
the signal, so that a stationary sinusoid has one phase, up to its sign, in all the bins it reaches.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from tfsep.bijectors.step import Step


class RealFourier(Step):
    """Latent: complex bins as pairs, (L / 2, 2); data: samples, (L, 1)."""

    def __init__(self, dtype: tf.DType, name: str = "real_fourier") -> None:
        """Set the dtype, float32 or float64."""
        parameters = dict(locals())
        super().__init__(2, dtype, parameters, name)

    def _turns(self, length: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the real and the imaginary part of the scaled phases of bins 1 .. L/2 - 1."""
        bins = np.arange(1, length // 2)
        turns = math.sqrt(2.0 / length) * np.exp(1j * np.pi * bins * ((length - 1) / length))
        return tf.constant(turns.real, self.dtype), tf.constant(turns.imag, self.dtype)

    def inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Map data to latent; see :meth:`Step.inverse_and_log_det`."""
        length = even_length(y.shape[1])
        spectrum = tf.signal.rfft(y[..., 0])
        real, imaginary = tf.math.real(spectrum), tf.math.imag(spectrum)
        cosine, sine = self._turns(length)
        inner_real, inner_imaginary = real[:, 1:-1], imaginary[:, 1:-1]
        first = tf.stack([real[:, :1], real[:, -1:]], axis=-1) / math.sqrt(length)
        turned = [inner_real * cosine - inner_imaginary * sine, inner_real * sine + inner_imaginary * cosine]
        return tf.concat([first, tf.stack(turned, axis=-1)], axis=1), tf.zeros(tf.shape(y)[:1], y.dtype)

    def forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Map latent to data; see :meth:`Step.forward_and_log_det`."""
        length = 2 * x.shape[1]
        cosine, sine = self._turns(length)
        scale = length / 2.0
        real, imaginary = x[:, 1:, 0], x[:, 1:, 1]
        ends = x[:, 0] * math.sqrt(length)
        inner_real, inner_imaginary = real * cosine + imaginary * sine, imaginary * cosine - real * sine
        whole_real = tf.concat([ends[:, :1], scale * inner_real, ends[:, 1:]], axis=1)
        whole_imaginary = tf.pad(scale * inner_imaginary, [[0, 0], [1, 1]])
        wave = tf.signal.irfft(tf.complex(whole_real, whole_imaginary), [length])
        return wave[..., tf.newaxis], tf.zeros(tf.shape(x)[:1], x.dtype)

    def _inverse_event_shape(self, output_shape: tf.TensorShape) -> tf.TensorShape:
        return tf.TensorShape([even_length(output_shape[0]) // 2, 2])

    def _forward_event_shape(self, input_shape: tf.TensorShape) -> tf.TensorShape:
        return tf.TensorShape([2 * input_shape[0], 1])

    def _inverse_event_shape_tensor(self, output_shape: tf.Tensor) -> tf.Tensor:
        return tf.stack([output_shape[0] // 2, 2])

    def _forward_event_shape_tensor(self, input_shape: tf.Tensor) -> tf.Tensor:
        return tf.stack([2 * input_shape[0], 1])


def even_length(length: int) -> int:
    """Return a number of samples that has as many bins.

    Raises:
        ValueError: if it is odd or below 2.
    """
    if length < 2 or length % 2:
        raise ValueError(f"the real Fourier transform takes an even number of samples, at least 2, got {length}")
    return length
