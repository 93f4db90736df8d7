r"""Objectives of priors and of simulated pairs: (model, batch, seed) -> (loss, metrics).

They know priors and posteriors by their interfaces only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import tensorflow as tf

from tfsep import mixing
from tfsep.axes import Events, Sources, Waves
from tfsep.priors.base import Prior
from tfsep.training.task import Loss

#: Isolated sources (batch, time), or those and backgrounds of unit RMS, (batch, time) each.
PriorBatch: TypeAlias = "Waves | tuple[Waves, Waves]"

_LOG_WEIGHT, _LOG_FLOOR = 0.2, 1e-4


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


def noised(prior: Prior, wave: Waves, seed: tf.Tensor) -> tuple[Events, tf.Tensor | None]:
    """Return noisy events of a prior's domain and the noise level of each, log-uniform over its range.

    Args:
        prior: the prior; for one without noise levels, clean events and None are returned.
        wave: (batch, time).
        seed: two integers.
    """
    events = prior.analyse(wave)
    if prior.sigma_range is None:
        return events, None
    sigma = drawn_sigma(prior, events, seed)
    noise = tf.random.stateless_normal(tf.shape(events), seed, dtype=events.dtype, alg="philox")
    return events + tf.reshape(sigma, [-1] + [1] * len(prior.event_shape)) * noise, sigma


def drawn_sigma(prior: Prior, events: Events, seed: tf.Tensor) -> tf.Tensor:
    """Draw noise levels (batch,) log-uniform over the ``sigma_range`` of a prior, one an event."""
    low, high = (math.log(sigma) for sigma in prior.sigma_range or ())
    position = tf.random.stateless_uniform(tf.shape(events)[:1], seed + 1, dtype=events.dtype, alg="philox")
    return tf.exp(low + (high - low) * position)


def maximum_likelihood(prior: Prior, wave: Waves, seed: tf.Tensor) -> Loss:
    r"""Return the loss of exact maximum likelihood, -log p_sigma(x + sigma eps) / D in nats.

    D is the number of dimensions of the prior's domain. The metric has the domain in its name, such
    as ``nats_per_dim_wave``: values of two domains must not be compared.

    Args:
        prior: a flow.
        wave: isolated sources (batch, time).
        seed: two integers.
    """
    events, sigma = noised(prior, wave, seed)
    nats = tf.reduce_mean(prior.nats_per_dim(events, sigma))
    return -nats, {f"nats_per_dim_{prior.domain}": nats}


def denoising_score_matching(prior: Any, batch: PriorBatch, seed: tf.Tensor) -> Loss:
    r"""Return the loss of denoising score matching: the weighted error of D(x + sigma eps, sigma).

    With w the prior's ``loss_weight`` (Karras et al. 2022, table 1), the loss is
    :math:`w\,\mathrm{MSE}` plus a part of its logarithm, which goes on improving noise levels and
    examples whose error is small already. The optimum is the posterior mean where the posterior is
    symmetric; where it has several modes, the logarithm's part moves the denoiser from their mean
    towards the likelier ones.

    Args:
        prior: a score prior: one with ``denoise`` and ``loss_weight``.
        batch: isolated sources (batch, time); or those and backgrounds of unit RMS, (batch, time)
            as well, which replace white noise. What is learned then is the mean of the source given
            its sum with such sounds, which Gibbs and Jacobi updates need of a denoiser, and not the
            score of a noised density (the prior's setting ``background``).
        seed: two integers.
    """
    events, noisy, sigma = noised_pair(prior, batch, seed)
    error = tf.reduce_mean((prior.denoise(noisy, sigma) - events) ** 2, axis=list(range(1, events.shape.rank)))
    weighted = prior.loss_weight(sigma) * error
    mean, logarithm = tf.reduce_mean(weighted), tf.reduce_mean(tf.math.log(weighted + _LOG_FLOOR))
    metrics = {f"weighted_mse_{prior.domain}": mean, f"log_weighted_mse_{prior.domain}": logarithm}
    return mean + _LOG_WEIGHT * logarithm, metrics


def noised_pair(prior: Prior, batch: PriorBatch, seed: tf.Tensor) -> tuple[Events, Events, tf.Tensor | None]:
    """Return clean events, and the same with noise or a background added.

    Args:
        prior: the prior.
        batch: as of :func:`denoising_score_matching`.
        seed: two integers.

    Returns:
        Clean and noisy events, both (batch,) + event_shape, and the noise levels (batch,), None for
            a clean prior.
    """
    if not isinstance(batch, tuple):
        return prior.analyse(batch), *noised(prior, batch, seed)
    wave, background = batch
    events = prior.analyse(wave)
    sigma = drawn_sigma(prior, events, seed)
    return events, events + tf.reshape(sigma, [-1] + [1] * len(prior.event_shape)) * prior.analyse(background), sigma


def prior_objective(prior: Prior, batch: PriorBatch, seed: tf.Tensor) -> Loss:
    """Return the loss of a prior with a density (maximum likelihood) or without (score matching).

    Args:
        prior: the prior.
        batch: isolated sources (batch, time), for a denoiser with or without backgrounds.
        seed: two integers.

    Returns:
        The loss and metrics.
    """
    return (maximum_likelihood if prior.has_log_prob else denoising_score_matching)(prior, batch, seed)


def simulated_pairs(posterior: LearnedPosterior, sources: Sources, seed: tf.Tensor) -> Loss:
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
    return 5.0 * relative + 0.2 * profile + 0.05 * nll, metrics


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
            source, the mean
        square error relative to that power and its logarithm.
    """
    power = tf.reduce_mean(mixture**2, axis=-1) + 1e-8
    error = tf.constant(gains, sources.dtype)[:, tf.newaxis] * sources - means
    relative = tf.reduce_mean(error**2, axis=-1) / power[:, tf.newaxis]
    return error, power, tf.reduce_mean(relative), tf.reduce_mean(tf.math.log(relative + 1e-3))


def initialise_prior(prior: Prior, batch: PriorBatch, seed: tf.Tensor) -> None:
    """Initialise a prior from one batch of isolated sources, with or without backgrounds."""
    _, noisy, sigma = noised_pair(prior, batch, seed)
    prior.initialise(noisy, sigma)
