r"""The Gaussian prior, which is the Wiener filter: everything in closed form.

With the covariance C diagonal in an orthonormal basis and its variances :math:`v_i` there,

.. math:: p_\sigma(y) = \mathcal{N}(y; \mu, C + \sigma^2 I), \qquad
          D(y, \sigma) = \mu + C (C + \sigma^2 I)^{-1} (y - \mu).

The basis is Fourier's, where ``spectrum`` gives the power of a stationary source (C is circulant
and D is the Wiener filter), or that of the samples themselves, where ``variances`` gives each
one's. The clean event given a noised one is Gaussian too, so it can be drawn exactly; and
:math:`z = (C + \sigma^2 I)^{-1/2} (y - \mu)` makes it a flow. It is the test of every sampler,
since the posterior of Gaussian sources given their mixture is known.

Source: Wiener, 1949, Extrapolation, Interpolation, and Smoothing of Stationary Time Series.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfsep.audio.front_end import FrontEnd
from tfsep.axes import Seed, Sigma, TensorLike
from tfsep.priors.base import per_example_sigma
from tfsep.priors.closed_form import ClosedForm
from tfsep.runtime.stateless_random import normal


class GaussianPrior(ClosedForm):
    """Closed-form Gaussian over waves; see the module's text.

    Args:
        front_end: must be of the domain "wave".
        event_shape: (time, 1).
        spectrum: variance in each of the time // 2 + 1 bins of the orthonormal Fourier transform,
            at least 0. The best fit to given waves is their mean power in each bin; white noise of
            variance v has v in every bin.
        variances: variance of each of the ``time`` samples, or of all, at least 0; instead of
            ``spectrum``.
        mean: of each of the ``time`` samples, or of all.
        smallest_sigma: what ``sigma=None`` means.
        dtype: "float32" or "float64".

    Raises:
        ValueError: for events that are not waves, both or neither of ``spectrum`` and
            ``variances``, numbers of another count, or a variance below 0.
    """

    kind = "gaussian"
    has_posterior_sample = True
    has_latents = True

    def __init__(
        self,
        front_end: FrontEnd,
        event_shape: tuple[int, ...],
        spectrum: Sequence[float] | None = None,
        variances: Sequence[float] | float | None = None,
        mean: Sequence[float] | float = 0.0,
        smallest_sigma: float = 0.01,
        dtype: str = "float32",
    ) -> None:
        """Check the settings."""
        self._over_waves(front_end, event_shape, smallest_sigma, dtype)
        if (spectrum is None) == (variances is None):
            raise ValueError("either spectrum or variances is needed, and not both")
        self.stationary = spectrum is not None
        time = self.event_shape[0]
        count = time // 2 + 1 if self.stationary else time
        self._mean = tf.constant(_vector("mean", mean, time), self.tf_dtype)
        name, given = ("variances", variances) if spectrum is None else ("spectrum", spectrum)
        values = _vector(name, given, count)
        if not np.all(values >= 0.0):
            raise ValueError(f"variances must be at least 0, got {values.min():g}")
        self._variances = tf.constant(values, self.tf_dtype)
        # A bin is two dimensions, a sine and a cosine; the first and, of an even length, the last are one.
        twice = [2.0 if self.stationary and 0 < index < (time + 1) // 2 else 1.0 for index in range(count)]
        self._dimensions_of = tf.constant(twice, self.tf_dtype)

    def _filter(self, wave: tf.Tensor, gains: tf.Tensor) -> tf.Tensor:
        """Multiply (batch, time) by gains in the basis of the covariance."""
        if not self.stationary:
            return gains * wave
        spectrum = tf.signal.rfft(wave)
        return tf.signal.irfft(spectrum * tf.cast(gains, spectrum.dtype), [self.event_shape[0]])

    def _centred(self, x: TensorLike, sigma: Sigma) -> tuple[tf.Tensor, tf.Tensor]:
        """Return events less the mean (batch, time), and the noise variance (batch, 1)."""
        x = tf.cast(tf.convert_to_tensor(x), self.tf_dtype)
        self.check_events(x)
        sigma = per_example_sigma(self.smallest_sigma if sigma is None else sigma, x)
        return x[..., 0] - self._mean, sigma[:, tf.newaxis] ** 2

    def encode(self, x: TensorLike, sigma: Sigma | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        """Whiten: (batch, time, 1) -> the same, and the log-determinant (batch,)."""
        wave, noise = self._centred(x, sigma)
        total = self._variances + noise
        log_det = -0.5 * tf.reduce_sum(self._dimensions_of * tf.math.log(total), -1)
        return self._filter(wave, tf.math.rsqrt(total))[..., tf.newaxis], log_det

    def decode(self, z: TensorLike, sigma: Sigma | None = None) -> tf.Tensor:
        """Colour white latents, the inverse of :meth:`encode`: (batch, time, 1) -> the same."""
        z = tf.cast(tf.convert_to_tensor(z), self.tf_dtype)
        self.check_events(z)
        level = per_example_sigma(self.smallest_sigma if sigma is None else sigma, z)
        gains = tf.sqrt(self._variances + level[:, tf.newaxis] ** 2)
        return (self._mean + self._filter(z[..., 0], gains))[..., tf.newaxis]

    def log_prob(self, x: TensorLike, sigma: Sigma | None = None) -> tf.Tensor:
        """Compute the log-density of noised events in nats: (batch, time, 1) -> (batch,)."""
        z, log_det = self.encode(x, sigma)
        return log_det - 0.5 * tf.reduce_sum(z**2, [1, 2]) - 0.5 * self.dimensions * math.log(math.tau)

    def score(self, x: TensorLike, sigma: Sigma | None = None) -> tf.Tensor:
        """Compute -(C + sigma^2 I)^-1 (x - mean): (batch, time, 1) -> the same."""
        wave, noise = self._centred(x, sigma)
        return -self._filter(wave, 1.0 / (self._variances + noise))[..., tf.newaxis]

    def posterior_sample(self, y: TensorLike, sigma: Sigma, seed: Seed) -> tf.Tensor:
        """Draw N(D(y), C sigma^2 (C + sigma^2 I)^-1): (batch, time, 1) -> the same."""
        wave, noise = self._centred(y, sigma)
        shrink = self._variances / (self._variances + noise)
        white = normal(tf.shape(wave), tf.cast(seed, tf.int32), self.tf_dtype)
        spread = self._filter(white, tf.sqrt(shrink * noise))
        return (self._mean + self._filter(wave, shrink) + spread)[..., tf.newaxis]

    def sample(self, num: int, seed: Seed, sigma: Sigma | None = None) -> tf.Tensor:
        """Draw ``num`` noised events: (num, time, 1)."""
        white = tf.random.stateless_normal((num, *self.event_shape), seed, dtype=self.tf_dtype, alg="philox")
        return self.decode(white, sigma)


def _vector(name: str, value: object, count: int) -> np.ndarray:
    """Return a number, or ``count`` numbers, as a float64 vector of ``count``."""
    values = np.asarray(value, np.float64)
    if values.shape not in ((), (count,)) or not np.all(np.isfinite(values)):
        raise ValueError(f"{name} must be one finite number or {count} of them, got shape {values.shape}")
    return np.broadcast_to(values, (count,))
