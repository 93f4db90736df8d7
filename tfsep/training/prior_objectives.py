"""Objectives of priors: maximum likelihood, denoising score matching, and both at once.

Each is a function (prior, batch, seed) -> (loss, metrics). Priors are used through their interface
only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import tensorflow as tf

from tfsep.axes import Events, Waves
from tfsep.errors import InputError
from tfsep.priors.base import Prior, broadcast_to_event
from tfsep.training.task import Loss

#: Isolated sources (batch, time), or those and backgrounds of unit RMS, (batch, time) each.
PriorBatch: TypeAlias = "Waves | tuple[Waves, Waves]"

_LOG_WEIGHT, _LOG_FLOOR = 0.2, 1e-4
_RELATIVE_FLOOR = 2e-3


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

    A prior may add terms of its own (:meth:`tfsep.priors.base.Prior.training_terms`).

    D is the number of dimensions of the prior's domain. The metric has the domain in its name, such
    as ``nats_per_dim_wave``: values of two domains must not be compared.

    Args:
        prior: a flow.
        wave: isolated sources (batch, time).
        seed: two integers.
    """
    events, sigma = noised(prior, wave, seed)
    log_prob, besides = prior.training_terms(events, sigma)
    nats = tf.reduce_mean(log_prob) / prior.dimensions
    metrics = {f"nats_per_dim_{prior.domain}": nats}
    if besides is None:
        return -nats, metrics
    return -nats - tf.reduce_mean(besides) / prior.dimensions, metrics


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


def gradient_matching(likelihood: float = 0.2) -> Callable[[Prior, Waves, tf.Tensor], Loss]:
    r"""Return the objective that makes the gradient of a log-density denoise: score matching beside the likelihood.

    With the denoiser of the gradient, whatever score the prior itself gives,
    :math:`D(y) = y + \sigma^2 \nabla_y \log p_\sigma(y)`, and its error per dimension
    :math:`e = |D(x + \sigma \epsilon) - x|^2 / D`, the loss is the mean of

    .. math:: -w \log p_\sigma(x + \sigma \epsilon) / D + \log(e / \sigma^2 + 0.002).

    The logarithm gives every noise level and every example a like weight, and its floor leaves
    those alone whose error is small. The loss is differentiated through the gradient, so a flow
    must keep what second derivatives need (``recompute="none"``). It costs some three times a step
    of maximum likelihood. Where a prior has training terms besides its log-density, they are
    weighted by w, too.

    Sources: Vincent 2011 (denoising score matching), equation 9, for the second term.

    Args:
        likelihood: w, the weight of the likelihood, at least 0.

    Returns:
        (prior, isolated sources (batch, time), seed) -> the loss and metrics.

    Raises:
        InputError: for a negative weight; the objective, for a clean prior.
    """
    if not likelihood >= 0.0:
        raise InputError(f"the weight of the likelihood must be at least 0, got {likelihood}")

    def objective(prior: Prior, wave: Waves, seed: tf.Tensor) -> Loss:
        events, noisy, sigma = noised_pair(prior, wave, seed)
        if sigma is None:
            raise InputError(f"gradients are matched at noise levels, got a clean prior: {prior.describe()}")
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(noisy)
            log_prob, besides = prior.training_terms(noisy, sigma)
        denoised = noisy + broadcast_to_event(sigma, noisy) ** 2 * tape.gradient(log_prob, noisy)
        error = tf.reduce_mean((denoised - events) ** 2, axis=list(range(1, events.shape.rank))) / sigma**2
        matched, nats = tf.reduce_mean(tf.math.log(error + _RELATIVE_FLOOR)), tf.reduce_mean(log_prob)
        metrics = {f"nats_per_dim_{prior.domain}": nats / prior.dimensions, f"log_error_{prior.domain}": matched}
        total = nats if besides is None else nats + tf.reduce_mean(besides)
        return matched - likelihood * total / prior.dimensions, metrics

    return objective


def denoising_likelihood(weight: float) -> Callable[[Prior, Waves, tf.Tensor], Loss]:
    r"""Return the objective of a flow whose own denoiser counts beside its likelihood.

    With D the prior's denoiser, whatever its score is taken from, and its error per dimension
    :math:`e = |D(x + \sigma \epsilon) - x|^2 / D`, the loss is the mean of

    .. math:: -\log p_\sigma(x + \sigma \epsilon) / D + w \log(e + 10^{-4}),

    training terms besides the log-density included. Likelihood alone hardly teaches a network what
    it could tell under loud noise, as an error counts there by :math:`e / \sigma^2`; the logarithm
    gives all noise levels a like weight. For a flow whose score is that of Gaussian conditionals it
    costs one evaluation of each network, like the likelihood
    (:meth:`tfsep.priors.base.Prior.denoising_terms`).

    Args:
        weight: w, above 0.

    Returns:
        (prior, isolated sources (batch, time), seed) -> the loss and metrics.

    Raises:
        InputError: for a weight out of range; the objective, for a clean prior.
    """
    if not weight > 0.0:
        raise InputError(f"the weight of the denoiser's error must be above 0, got {weight}")

    def objective(prior: Prior, wave: Waves, seed: tf.Tensor) -> Loss:
        events, noisy, sigma = noised_pair(prior, wave, seed)
        if sigma is None:
            raise InputError(f"a clean prior has no denoiser to train, got {prior.describe()}")
        log_prob, besides, denoised = prior.denoising_terms(noisy, sigma)
        error = tf.reduce_mean((denoised - events) ** 2, axis=list(range(1, events.shape.rank)))
        matched, nats = tf.reduce_mean(tf.math.log(error + _LOG_FLOOR)), tf.reduce_mean(log_prob)
        metrics = {f"nats_per_dim_{prior.domain}": nats / prior.dimensions, f"log_error_{prior.domain}": matched}
        total = nats if besides is None else nats + tf.reduce_mean(besides)
        return weight * matched - total / prior.dimensions, metrics

    return objective


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


def initialise_prior(prior: Prior, batch: PriorBatch, seed: tf.Tensor) -> None:
    """Initialise a prior from one batch of isolated sources, with or without backgrounds."""
    _, noisy, sigma = noised_pair(prior, batch, seed)
    prior.initialise(noisy, sigma)
