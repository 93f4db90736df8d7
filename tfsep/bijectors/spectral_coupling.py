r"""Affine coupling of complex bins along frequency, with the noise level as a floor of the variance.

Bins come in groups of ``stride`` neighbours. The bin at place ``target`` of each group is
standardised given the bins at place ``given``,

.. math:: z_b = (X_b - t_b) / \sqrt{v_b}, \qquad v_b = \sigma^2 (1 + e^{a_b}), \qquad
          t_b = \sum_j w_{bj} X_j,

where j runs over the nearest given bins, and the real weights w and the log-ratios a come from a
network that reads the magnitudes of the given bins only. So t turns with the phases of the given
bins, the conditional density :math:`p(X_b | \text{given}) = \mathcal{N}(t_b, v_b)` in each real
coordinate, and no conditional variance falls below that of the noise. All other bins stay.

Source: Dinh et al. 2017 (RealNVP), equations 7 and 8, here over the Fourier transform.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import tensorflow as tf

from tfsep.bijectors.step import Step

#: Given bins (batch, bin, 2) -> shifts and log-ratios a of the target bins, both (batch, bin, 2).
Predictor = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


class SpectralCoupling(Step):
    """Standardise the target bins given other bins; events are (bin, 2), the bins a multiple of ``stride``.

    Args:
        predict: from the given bins to shifts and log-ratios.
        stride: bins of a group.
        target: place of the bin that changes, in 0 .. stride - 1.
        given: place of the bin that conditions; another than ``target`` unless ``predict`` ignores
            it.
        sigma: noise levels, (batch,).
    """

    def __init__(
        self,
        predict: Predictor,
        stride: int,
        target: int,
        given: int,
        sigma: tf.Tensor,
        dtype: tf.DType,
        name: str = "spectral_coupling",
    ) -> None:
        parameters = dict(locals())
        self.predict, self.stride, self.target, self.given, self.sigma = predict, stride, target, given, sigma
        super().__init__(2, dtype, parameters, name)

    def _split(self, bins: tf.Tensor) -> list[tf.Tensor]:
        count = bins.shape[1]
        if count % self.stride:
            raise ValueError(f"the number of bins must be a multiple of {self.stride}, got {count}")
        return list(tf.unstack(tf.reshape(bins, [-1, count // self.stride, self.stride, 2]), axis=2))

    def _merge(self, parts: list[tf.Tensor], new: tf.Tensor) -> tf.Tensor:
        parts = [*parts[: self.target], new, *parts[self.target + 1 :]]
        return tf.reshape(tf.stack(parts, axis=2), [-1, parts[0].shape[1] * self.stride, 2])

    def conditional(self, parts: list[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the mean and the log-variance of the target bins given others, both (batch, bin, 2)."""
        shift, log_ratio = self.predict(parts[self.given])
        return shift, 2.0 * tf.math.log(self.sigma)[:, tf.newaxis, tf.newaxis] + tf.nn.softplus(log_ratio)

    def conditional_log_prob(self, bins: tf.Tensor) -> tf.Tensor:
        """Compute log p(target bins | given bins) in nats: (batch, bin, 2) -> (batch,)."""
        parts = self._split(bins)
        shift, log_variance = self.conditional(parts)
        squares = (parts[self.target] - shift) ** 2 * tf.exp(-log_variance)
        return -0.5 * tf.reduce_sum(squares + log_variance + math.log(2.0 * math.pi), axis=[1, 2])

    def conditional_score(self, bins: tf.Tensor) -> tf.Tensor:
        """Compute the gradient of log p(target bins | given bins) in the target bins: (batch, target bin, 2)."""
        parts = self._split(bins)
        shift, log_variance = self.conditional(parts)
        return (shift - parts[self.target]) * tf.exp(-log_variance)

    def inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Map data to latent; see :meth:`Step.inverse_and_log_det`."""
        parts = self._split(y)
        shift, log_variance = self.conditional(parts)
        latent = (parts[self.target] - shift) * tf.exp(-0.5 * log_variance)
        return self._merge(parts, latent), -0.5 * tf.reduce_sum(log_variance, axis=[1, 2])

    def forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Map latent to data; see :meth:`Step.forward_and_log_det`."""
        parts = self._split(x)
        shift, log_variance = self.conditional(parts)
        data = parts[self.target] * tf.exp(0.5 * log_variance) + shift
        return self._merge(parts, data), 0.5 * tf.reduce_sum(log_variance, axis=[1, 2])
