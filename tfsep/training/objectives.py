r"""Objectives: what a step of training lowers. Each takes (model, batch, seed) and returns (loss, metrics).

They know priors and posteriors by their interfaces only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import tensorflow as tf

from tfsep import mixing
from tfsep.priors.base import Prior

_LOG_WEIGHT, _LOG_FLOOR = 0.2, 1e-4


class LearnedPosterior(Protocol):
    """What :func:`simulated_pairs` asks of a posterior."""

    gains: tuple[float, ...]

    def __call__(self, mixture: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """(batch, time) -> mean and log-spread of a_k s_k, (batch, source, time) each."""


def noised(prior: Prior, wave: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Events of a prior's domain and the noise level added to each, log-uniform over the prior's range.

    Args:
        prior: the prior; a clean one gets clean events and None.
        wave: (batch, time).
        seed: two integers.
    """
    events = prior.analyse(wave)
    if prior.sigma_range is None:
        return events, None
    sigma = drawn_sigma(prior, events, seed)
    noise = tf.random.stateless_normal(tf.shape(events), seed, dtype=events.dtype, alg="philox")
    return events + tf.reshape(sigma, [-1] + [1] * len(prior.event_shape)) * noise, sigma


def drawn_sigma(prior: Prior, events: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Noise levels log-uniform over the ``sigma_range`` of a prior, one for each of its events: (batch,)."""
    low, high = (math.log(sigma) for sigma in prior.sigma_range or ())
    position = tf.random.stateless_uniform(tf.shape(events)[:1], seed + 1, dtype=events.dtype, alg="philox")
    return tf.exp(low + (high - low) * position)


def maximum_likelihood(prior: Prior, wave: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    r"""Exact maximum likelihood, -log p_sigma(x + sigma eps) / D in nats per dimension of the prior's domain.

    The metric has the domain in its name, such as ``nats_per_dim_wave``: numbers of two domains must not be compared.

    Args:
        prior: a flow.
        wave: isolated sources (batch, time).
        seed: two integers.
    """
    events, sigma = noised(prior, wave, seed)
    nats = tf.reduce_mean(prior.nats_per_dim(events, sigma))
    return -nats, {f"nats_per_dim_{prior.domain}": nats}


def denoising_score_matching(prior: Any, batch: Any, seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    r"""Denoising score matching: the error of D(x + sigma eps, sigma), weighted to be the network's own.

    With w the prior's ``loss_weight`` (Karras et al. 2022, table 1), the loss is :math:`w\,\mathrm{MSE}` and, beside
    it, a part of its logarithm, which keeps improving those noise levels and examples that are nearly right already.
    The optimum is the posterior mean where the posterior is symmetric; where it has several modes, the logarithm's part
    draws the denoiser from their mean towards the likelier ones.

    Args:
        prior: a score prior.
        batch: isolated sources (batch, time); or those and backgrounds of unit RMS, (batch, time) as well, which take
            the place of white noise. What is learned then is the mean of the source given its sum with sounds like
            these: what Gibbs and Jacobi updates ask of a denoiser, and no longer the score of a noised density
            (the prior's setting ``background``).
        seed: two integers.
    """
    events, noisy, sigma = noised_pair(prior, batch, seed)
    error = tf.reduce_mean((prior.denoise(noisy, sigma) - events) ** 2, axis=list(range(1, events.shape.rank)))
    weighted = prior.loss_weight(sigma) * error
    mean, logarithm = tf.reduce_mean(weighted), tf.reduce_mean(tf.math.log(weighted + _LOG_FLOOR))
    metrics = {f"weighted_mse_{prior.domain}": mean, f"log_weighted_mse_{prior.domain}": logarithm}
    return mean + _LOG_WEIGHT * logarithm, metrics


def noised_pair(prior: Prior, batch: Any, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, Any]:
    """Clean events, and the same with noise or a background behind them.

    Args:
        prior: the prior.
        batch: as of :func:`denoising_score_matching`.
        seed: two integers.

    Returns:
        Clean and noisy events, both (batch,) + event_shape, and the noise levels (batch,), None for a clean prior.
    """
    if not isinstance(batch, tuple):
        return prior.analyse(batch), *noised(prior, batch, seed)
    wave, background = batch
    events = prior.analyse(wave)
    sigma = drawn_sigma(prior, events, seed)
    return events, events + tf.reshape(sigma, [-1] + [1] * len(prior.event_shape)) * prior.analyse(background), sigma


def prior_objective(prior: Prior, batch: Any, seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """What a prior is trained on: :func:`maximum_likelihood`, or :func:`denoising_score_matching` without a density.

    Args:
        prior: the prior.
        batch: isolated sources (batch, time), for a denoiser with or without backgrounds.
        seed: two integers.

    Returns:
        The loss, a scalar to be made smaller, and metrics.
    """
    return (maximum_likelihood if prior.has_log_prob else denoising_score_matching)(prior, batch, seed)


def simulated_pairs(
    posterior: LearnedPosterior, sources: tf.Tensor, seed: tf.Tensor
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    r"""Forward KL on simulated pairs: maximum likelihood of q_k(s_k | m) for mixtures of unpaired sources.

    The Gaussian's spread profiled out over an example leaves :math:`\frac12 \log \mathrm{MSE}` as the negative
    log-likelihood of the mean; beside it stands the plain MSE, which keeps hard examples from being given up. The
    spread is then fitted to the error that the mean makes. Errors are relative to the mixture's power, and so is the
    metric ``nll_per_dim``, -log q_k / D in nats for mixtures of unit power.

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
    gains: Sequence[float], mixture: tf.Tensor, sources: tf.Tensor, means: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """How far means of a_k s_k are from the truth.

    Returns:
        The errors (batch, source, time); the mixture's power (batch,); and, averaged over batch and source, the mean
        square error relative to that power and its logarithm.
    """
    power = tf.reduce_mean(mixture**2, axis=-1) + 1e-8
    error = tf.constant(gains, sources.dtype)[:, tf.newaxis] * sources - means
    relative = tf.reduce_mean(error**2, axis=-1) / power[:, tf.newaxis]
    return error, power, tf.reduce_mean(relative), tf.reduce_mean(tf.math.log(relative + 1e-3))


def initialise_prior(prior: Prior, batch: Any, seed: tf.Tensor) -> None:
    """Data-dependent initialisation of a prior from one batch of isolated sources, with or without backgrounds."""
    _, noisy, sigma = noised_pair(prior, batch, seed)
    prior.initialise(noisy, sigma)
