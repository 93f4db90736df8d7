"""Objectives of amortised posteriors on pairs of a mixture and its sources.

Each is a function (posterior, sources, seed) -> (loss, metrics). Posteriors are used through their
interface only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import tensorflow as tf

from tfsep import mixing
from tfsep.axes import Sources, Waves
from tfsep.training.task import Loss

MSE_WEIGHT = 5.0
_DITHER = 1e-3


class LearnedPosterior(Protocol):
    """What objectives need of an amortised posterior.

    Attributes:
        gains: a_1..a_N.
        family: of q_k around its mean, "gaussian" or "flow".
    """

    gains: tuple[float, ...]
    family: str

    def __call__(self, mixture: Waves) -> tuple[Sources, Sources]:
        """Return mean and log-spread of a_k s_k (batch, source, time) for mixtures (batch, time)."""


class DrawnPosterior(LearnedPosterior, Protocol):
    """What densities and the bound need besides; :class:`tfsep.posteriors.amortised.Amortised` has it."""

    def draw(self, mixture: Waves, num_samples: int, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Draw a_k s_k (sample, batch, source, time), with log q_k (sample, batch, source) of each."""

    def log_prob_of_error(self, mixture: Waves, means: Sources, spread: Sources, error: Sources) -> tf.Tensor:
        """Return log q_k of means + error, (batch, source), in nats."""


def pairs(posterior: DrawnPosterior, sources: Sources, seed: tf.Tensor, mse_weight: float = MSE_WEIGHT) -> Loss:
    """Return the loss on pairs, of ``simulated_pairs`` or, for flows, ``conditional_likelihood``.

    Args:
        posterior: the networks.
        sources: (batch, source, time), drawn independently of each other.
        seed: two integers.
        mse_weight: weight of the plain mean square error beside its logarithm.
    """
    if posterior.family == "gaussian":
        return simulated_pairs(posterior, sources, seed, mse_weight)
    return conditional_likelihood(posterior, sources, seed, mse_weight)


def simulated_pairs(
    posterior: LearnedPosterior, sources: Sources, seed: tf.Tensor, mse_weight: float = MSE_WEIGHT
) -> Loss:
    r"""Return the forward KL on simulated pairs: maximum likelihood of q_k(s_k | m).

    The Gaussian's spread profiled out over an example leaves :math:`\frac12 \log \mathrm{MSE}` as
    the negative log-likelihood of the mean. The plain MSE is added, without which hard examples
    would have next to no gradient. The spread is fitted to the error of the mean. Errors are
    relative to the mixture's power, and so is the metric ``nll_per_dim``, -log q_k / D in nats for
    mixtures of unit power.

    Args:
        posterior: the networks.
        sources: (batch, source, time), drawn independently of each other.
        seed: unused; the objective is deterministic.
        mse_weight: of the plain MSE.
    """
    del seed
    mixture = mixing.mix(sources, posterior.gains)
    means, spread = posterior(mixture)
    error, power, relative, profile = errors_of_means(posterior.gains, mixture, sources, means)
    error = error**2
    # The spread learns from the error; the error does not learn from the spread.
    fixed = tf.stop_gradient(error) + 1e-6 * power[:, tf.newaxis, tf.newaxis]
    nll = 0.5 * fixed * tf.exp(-2.0 * spread) + spread - 0.5 * tf.math.log(power)[:, tf.newaxis, tf.newaxis]
    nll = tf.reduce_mean(nll)
    metrics = {"mse": relative, "log_mse": profile, "nll_per_dim": nll + 0.5 * math.log(math.tau)}
    return mse_weight * relative + 0.2 * profile + 0.05 * nll, metrics


def conditional_likelihood(
    posterior: DrawnPosterior, sources: Sources, seed: tf.Tensor, mse_weight: float = MSE_WEIGHT
) -> Loss:
    """Return the loss of maximum likelihood on simulated pairs for any family of posteriors.

    Means are trained by their own error, as in ``simulated_pairs``.

    The density is trained on the errors of the means, with noise of a thousandth of the mixture's
    level so that an error of zero has a finite density; no gradient of the density reaches the
    means.

    Args:
        posterior: the networks.
        sources: (batch, source, time), drawn independently of each other.
        seed: of the noise, two integers.
        mse_weight: of the plain MSE of the means.
    """
    gains, time = posterior.gains, sources.shape[-1]
    mixture = mixing.mix(sources, gains)
    means, spread = posterior(mixture)
    error, power, relative, profile = errors_of_means(gains, mixture, sources, means)
    dither = tf.random.stateless_normal(tf.shape(error), seed, dtype=error.dtype, alg="philox")
    error += _DITHER * tf.sqrt(power)[:, tf.newaxis, tf.newaxis] * dither
    fixed = tf.stop_gradient(means), spread, tf.stop_gradient(error)
    log_q = posterior.log_prob_of_error(mixture, *fixed) / time
    nll = -tf.reduce_mean(log_q) - 0.5 * tf.reduce_mean(tf.math.log(power))
    metrics = {"mse": relative, "log_mse": profile, "nll_per_dim": nll}
    return mse_weight * relative + 0.2 * profile + 0.05 * nll, metrics


def errors_of_means(
    gains: Sequence[float], mixture: Waves, sources: Sources, means: Sources
) -> tuple[Sources, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return the errors of means of a_k s_k, and their averages.

    Args:
        gains: a_1..a_N.
        mixture: (batch, time).
        sources: s_k, (batch, source, time).
        means: of a_k s_k, (batch, source, time).

    Returns:
        The errors (batch, source, time); the mixture's power (batch,); and, averaged over batch and
        source, the mean square error relative to that power and the logarithm of it.
    """
    power = tf.reduce_mean(mixture**2, axis=-1) + 1e-8
    error = tf.constant(gains, sources.dtype)[:, tf.newaxis] * sources - means
    relative = tf.reduce_mean(error**2, axis=-1) / power[:, tf.newaxis]
    return error, power, tf.reduce_mean(relative), tf.reduce_mean(tf.math.log(relative + 1e-3))
