r"""Silence as part of the model: the density of a source that may be absent has a point mass at silence.

With u the features of a silent waveform, 0 over waves,

.. math:: p'_\sigma(y) = (1 - \pi)\, p_\sigma(y) + \pi\, \mathcal{N}(y; u, \sigma^2 I), \qquad
          D'(y, \sigma) = (1 - \rho)\, D(y, \sigma) + \rho\, u, \qquad
          \rho = \frac{\pi\, \mathcal{N}(y; u, \sigma^2 I)}{p'_\sigma(y)}.

The responsibility rho weighs how well silence explains a noised event against how well the prior
does; it needs a true log-density, so priors that have only a score are refused. An absent source
then ends near silence because that is likelier, not because a threshold says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf

from tfsep.axes import Events, Nats, Seed, Sigma, TensorLike
from tfsep.errors import InputError
from tfsep.priors.base import Prior, broadcast_to_event, per_example_sigma
from tfsep.runtime.stateless_random import split, uniform


class SilencePrior(Prior):
    """A prior of a source that is absent with a given probability; see the module's text.

    Args:
        prior: of the source where it is present; needs a log-density.
        probability: of silence, in 0..1 without its ends.

    Raises:
        InputError: for a probability out of range, or a prior that has only a score.
    """

    def __init__(self, prior: Prior, probability: float) -> None:
        """Check the probability and the prior."""
        if not 0.0 < probability < 1.0:
            raise InputError(f"silence_probability must lie between 0 and 1, got {probability:g}")
        if not prior.has_log_prob:
            raise InputError(f"silence is weighed by log-densities, and prior {prior.kind!r} has only a score")
        self.prior, self.probability = prior, probability
        self.kind, self.domain, self.event_shape = prior.kind, prior.domain, prior.event_shape
        self.front_end, self.has_posterior_sample = prior.front_end, prior.has_posterior_sample
        self.has_directions = prior.has_directions
        self.length, self.silent = prior.length, prior.front_end.silence
        self.smallest_sigma, self.largest_sigma = prior.smallest_sigma, prior.largest_sigma

    def _shares(self, x: TensorLike, sigma: Sigma | None) -> tuple[Nats, Nats]:
        """Return the logarithms of (1 - pi) p_sigma(x) and of pi N(x; u, sigma^2 I), both (batch,)."""
        sounding = self.prior.log_prob(x, sigma) + math.log1p(-self.probability)
        x = tf.cast(tf.convert_to_tensor(x), sounding.dtype)
        sigma = per_example_sigma(self.smallest_sigma if sigma is None else sigma, x)
        power = tf.reduce_sum((x - self.silent) ** 2, list(range(1, x.shape.rank)))
        silent = -0.5 * (power / sigma**2 + self.dimensions * tf.math.log(math.tau * sigma**2))
        return sounding, silent + math.log(self.probability)

    def responsibility(self, x: TensorLike, sigma: Sigma | None) -> tf.Tensor:
        """Return the probability that a noised event is silence: (batch,) + event_shape -> (batch,)."""
        sounding, silent = self._shares(x, sigma)
        return tf.sigmoid(silent - sounding)

    def log_prob(self, x: TensorLike, sigma: Sigma | None = None) -> Nats:
        """Return the logarithm of p'_sigma: (batch,) + event_shape -> (batch,) nats."""
        return tf.reduce_logsumexp(tf.stack(self._shares(x, sigma)), axis=0)

    def denoise(self, x: TensorLike, sigma: Sigma | None) -> Events:
        """Return the mean of the prior's denoised event and of silence: (batch,) + event_shape -> the same."""
        clean = self.prior.denoise(x, sigma) - self.silent
        return self.silent + clean * (1.0 - broadcast_to_event(self.responsibility(x, sigma), clean))

    def score(self, x: TensorLike, sigma: Sigma | None = None) -> Events:
        """Return (denoise(x) - x) / sigma^2: (batch,) + event_shape -> the same."""
        clean = self.denoise(x, sigma)
        x = tf.cast(tf.convert_to_tensor(x), clean.dtype)
        sigma = per_example_sigma(self.smallest_sigma if sigma is None else sigma, x)
        return (clean - x) / broadcast_to_event(sigma, x) ** 2

    def directions(self, y: TensorLike, sigma: Sigma) -> tf.Tensor:
        """Return those of the source where it is present; see :meth:`Prior.directions`."""
        return self.prior.directions(y, sigma)

    def denoise_beside(self, y: TensorLike, sigma: Sigma, beside: TensorLike) -> Events:
        """Return the mean of the source where it is present; see :meth:`Prior.denoise_beside`.

        Whether it is present cannot be told beside waves of unknown weights; an update that follows tells it.
        """
        return self.prior.denoise_beside(y, sigma, beside)

    def posterior_sample(self, y: TensorLike, sigma: Sigma, seed: Seed) -> Events:
        """Draw silence with the responsibility's probability, else from the prior: (batch,) + event_shape -> the same.

        Raises:
            InputError: if the prior cannot draw.
        """
        seeds = split(tf.cast(seed, tf.int32), 2)
        drawn = self.prior.posterior_sample(y, sigma, seeds[0])
        silent = self.responsibility(y, sigma)
        chance = uniform(tf.shape(silent), seeds[1], silent.dtype)
        return tf.where(broadcast_to_event(chance < silent, drawn), self.silent * tf.ones_like(drawn), drawn)

    def sample(self, num: int, seed: Seed, sigma: Sigma | None = None) -> Events:
        """Draw ``num`` events, some of them nothing but noise of level ``sigma``: (num,) + event_shape."""
        seeds = tf.random.split(tf.cast(seed, tf.int32), 3)
        drawn = self.prior.sample(num, seeds[0], sigma)
        noise = tf.random.stateless_normal(tf.shape(drawn), seeds[1], dtype=drawn.dtype, alg="philox")
        level = per_example_sigma(self.smallest_sigma if sigma is None else sigma, drawn)
        silent = tf.random.stateless_uniform([num], seeds[2], alg="philox") < self.probability
        alone = self.silent + broadcast_to_event(level, drawn) * noise
        return tf.where(broadcast_to_event(silent, drawn), alone, drawn)


def with_silence(priors: Sequence[Prior], probability: float) -> list[Prior]:
    """Return each prior with a point mass of the given probability at silence."""
    return [SilencePrior(prior, probability) for prior in priors]
