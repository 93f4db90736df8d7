r"""Invertible 1x1 convolution: a learned rotation of the channels at every position.

The matrix is kept in its LU form :math:`W = P L (U + \mathrm{diag}(\epsilon e^{d}))`, with a fixed
permutation P, unit lower L, strictly upper U and fixed signs :math:`\epsilon`, so that
:math:`\log|\det W| = \sum d` costs nothing (Kingma and Dhariwal 2018, section 3.2). The same class
serves 1-D and 2-D events.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
import tensorflow as tf

from tfsep.bijectors.step import Step


def random_rotation(num_channels: int, seed: int) -> dict[str, np.ndarray]:
    """Draw the LU factors of a random rotation (Kingma and Dhariwal 2018, section 3.2), float64.

    Returns:
        ``permutation``, ``lower`` (strictly) and ``upper`` (strictly), (channel, channel); ``sign``
        and ``log_diagonal`` of the upper factor's diagonal, (channel,).
    """
    gaussian = np.random.default_rng(seed).normal(size=(num_channels, num_channels))
    permutation, lower, upper = scipy.linalg.lu(np.linalg.qr(gaussian)[0])
    diagonal = np.diag(upper)
    return {
        "permutation": permutation,
        "lower": np.tril(lower, -1),
        "upper": np.triu(upper, 1),
        "sign": np.sign(diagonal),
        "log_diagonal": np.log(np.abs(diagonal)),
    }


class InvertibleConv(Step):
    """Channels multiplied by a matrix, data = latent W, with log-determinant (number of positions) * log|det W|.

    Args:
        permutation, lower, upper: (channel, channel); only the strict triangles of the last two are
            read.
        sign, log_diagonal: (channel,).
    """

    def __init__(
        self,
        permutation: tf.Tensor,
        lower: tf.Tensor,
        upper: tf.Tensor,
        sign: tf.Tensor,
        log_diagonal: tf.Tensor,
        event_ndims: int,
        dtype: tf.DType,
        name: str = "invertible_conv",
    ) -> None:
        parameters = dict(locals())
        self.permutation, self.sign, self.log_diagonal = permutation, sign, log_diagonal
        size = permutation.shape[0]
        strict = tf.constant(np.tril(np.ones((size, size)), -1), dtype)
        self._lower = lower * strict + tf.eye(size, dtype=dtype)
        self._upper = upper * tf.transpose(strict) + tf.linalg.diag(sign * tf.exp(log_diagonal))
        super().__init__(event_ndims, dtype, parameters, name)

    def _log_det(self, x: tf.Tensor) -> tf.Tensor:
        positions = tf.cast(tf.reduce_prod(tf.shape(x)[1:-1]), x.dtype)
        return tf.fill(tf.shape(x)[:1], positions * tf.reduce_sum(self.log_diagonal))

    def forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Map latent to data; see :meth:`Step.forward_and_log_det`."""
        matrix = self.permutation @ self._lower @ self._upper
        return tf.tensordot(x, matrix, 1), self._log_det(x)

    def inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Map data to latent; see :meth:`Step.inverse_and_log_det`."""
        unpermuted = tf.linalg.triangular_solve(self._lower, tf.transpose(self.permutation), lower=True)
        return tf.tensordot(y, tf.linalg.triangular_solve(self._upper, unpermuted, lower=False), 1), -self._log_det(y)
