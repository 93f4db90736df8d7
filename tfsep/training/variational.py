r"""Objectives of amortised posteriors by name: the evidence lower bound, simulated pairs, or both.

The bound, against priors that stay as they are,

.. math:: \mathcal{L} = \mathbb{E}_q\Big[\log p_\gamma(m|s)
          + \beta \sum_k \big(\log p_{k,\sigma}(s_k) - \log q_k(s_k|m)\big)\Big],

needs mixtures and no sources. It is estimated by reparameterised draws. The priors' noise level
falls geometrically from ``largest_sigma`` to ``smallest_sigma`` over the first part of a training,
because a sharp density has no gradient far from its modes, and beta rises linearly from
``first_beta`` to 1. A noised source is the source plus noise of level sigma, so the mixture of
noised sources misses m by noise of level :math:`\gamma = r \sigma \|a\|`, with r = 1.

A batch is a pair (sources, progress): the share of the training that is done travels with the data,
which are a pure function of the step, so a resumed training anneals as an uninterrupted one.

Sources: Kingma and Welling 2014 (reparameterisation); Sonderby et al. 2016 (warm-up of beta).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import tensorflow as tf

from tfsep import mixing
from tfsep.axes import Events, Nats, Sources, Waves
from tfsep.errors import InputError
from tfsep.posteriors.base import needs_score, wave_priors
from tfsep.priors.base import Prior
from tfsep.training import mean_field, objectives
from tfsep.training.task import Loss

OBJECTIVES = ("simulated_pairs", "elbo", "mean_field", "both")
_DITHER = 1e-3


class DrawnPosterior(objectives.LearnedPosterior, Protocol):
    """What the bound needs of a posterior besides; :class:`tfsep.posteriors.amortised.Amortised` has it."""

    def draw(self, mixture: Waves, num_samples: int, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Draw a_k s_k (sample, batch, source, time), with log q_k (sample, batch, source) of each."""

    def log_prob_of_error(self, mixture: Waves, means: Sources, spread: Sources, error: Sources) -> tf.Tensor:
        """Return log q_k of means + error, (batch, source), in nats."""


@dataclass(frozen=True)
class ObjectiveSettings:
    """Which objective an amortised posterior is trained by.

    Attributes:
        kind: "simulated_pairs", "elbo", "mean_field" (the bound over tilted priors, mean_field.py),
            or "both" of the first two.
        pairs_from: "data", pairs of recorded sources, or "priors", pairs simulated from the priors
            at their smallest noise level: the sleep phase of Hinton et al. 1995, which needs no
            recording.
        pairs_weight, elbo_weight: weights of the two parts of "both", above 0.
        num_samples: draws of q per mixture, at least 1.
        largest_sigma, smallest_sigma: the priors' noise level at the beginning and at the end.
        annealed: share of the training after which sigma is at its smallest, in 0..1.
        first_beta: weight of the divergence from the priors at the beginning, in 0..1.
        warmed_up: share of the training after which beta is 1, in 0..1.
        likelihood_ratio: r = gamma / (sigma |a|), above 0.
        exchanges: pairs of indices of sources that "mean_field" tries to exchange in every step; if
            empty, one pair a step is drawn at random.
    """

    kind: str = "simulated_pairs"
    pairs_from: str = "data"
    pairs_weight: float = 1.0
    elbo_weight: float = 0.1
    num_samples: int = 1
    largest_sigma: float = 1.0
    smallest_sigma: float = 0.1
    annealed: float = 0.7
    first_beta: float = 0.1
    warmed_up: float = 0.1
    likelihood_ratio: float = 1.0
    exchanges: Sequence[Sequence[int]] = ()

    def __post_init__(self) -> None:
        """Check every range.

        Raises:
            InputError: naming the setting, its rule and its value.
        """
        if self.kind not in OBJECTIVES:
            raise InputError(f"objective.kind must be one of {', '.join(OBJECTIVES)}, got {self.kind!r}")
        if self.pairs_from not in ("data", "priors"):
            raise InputError(f"objective.pairs_from must be data or priors, got {self.pairs_from!r}")
        if not 0.0 < self.smallest_sigma <= self.largest_sigma:
            given = f"{self.smallest_sigma:g} and {self.largest_sigma:g}"
            raise InputError(f"objective needs 0 < smallest_sigma <= largest_sigma, got {given}")
        for name in ("annealed", "first_beta", "warmed_up"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InputError(f"objective.{name} must lie in 0..1, got {getattr(self, name):g}")
        for name in ("pairs_weight", "elbo_weight", "likelihood_ratio", "num_samples"):
            if not getattr(self, name) > 0:
                raise InputError(f"objective.{name} must be above 0, got {getattr(self, name):g}")
        indices = [index for pair in self.exchanges for index in pair]
        in_pairs = all(len(pair) == 2 for pair in self.exchanges) and len(set(indices)) == len(indices)
        if not in_pairs or min(indices, default=0) < 0:
            raise InputError(
                f"objective.exchanges must be pairs of indices of sources, none twice, got {self.exchanges!r}"
            )

        if self.exchanges and self.kind != "mean_field":
            raise InputError(f"objective.exchanges are for kind 'mean_field', got {self.kind!r}")

    @property
    def needs_priors(self) -> bool:
        """Whether priors must be trained first."""
        return self.kind != "simulated_pairs" or self.pairs_from == "priors"


def build(settings: ObjectiveSettings, priors: Sequence[Prior] | None) -> Callable[[Any, Any, tf.Tensor], Loss]:
    """Return the objective (posterior, batch, seed) -> (loss, metrics) of some settings.

    A batch is the sources alone where no priors are needed, else (sources, progress).

    Raises:
        InputError: if priors are needed and there are none, or they cannot serve.
    """
    if not settings.needs_priors:
        return pairs
    swaps = [(int(first), int(second)) for first, second in settings.exchanges]
    known = wave_priors("amortised (elbo)", priors, (settings.smallest_sigma, settings.largest_sigma))
    if any(index >= len(known) for pair in swaps for index in pair):
        raise InputError(f"objective.exchanges are indices of {len(known)} sources, got {settings.exchanges!r}")
    if settings.kind != "mean_field":
        needs_score("amortised (elbo)", known)

    def objective(posterior: DrawnPosterior, batch: tuple[tf.Tensor, tf.Tensor], seed: tf.Tensor) -> Loss:
        sources, progress = batch
        if settings.kind == "mean_field":
            sigma, _ = annealed(progress[0], settings)
            return mean_field.natural_gradient(posterior, known, sources, sigma, seed, swaps)
        parts: list[tuple[float, Loss]] = []
        if settings.kind != "simulated_pairs":
            weight = settings.elbo_weight if settings.kind == "both" else 1.0
            parts.append((weight, negative_elbo(posterior, known, sources, progress[0], seed, settings)))
        if settings.kind != "elbo":
            drawn = sources if settings.pairs_from == "data" else simulated_sources(known, sources.shape[0], seed)
            weight = settings.pairs_weight if settings.kind == "both" else 1.0
            parts.append((weight, pairs(posterior, drawn, seed)))
        metrics = {name: value for _, (_, found) in parts for name, value in found.items()}
        return tf.add_n([weight * loss for weight, (loss, _) in parts]), metrics

    return objective


def pairs(posterior: DrawnPosterior, sources: Sources, seed: tf.Tensor) -> Loss:
    """Return the loss on pairs, of ``simulated_pairs`` or, for flows, ``conditional_likelihood``.

    Args:
        posterior: the networks.
        sources: (batch, source, time), drawn independently of each other.
        seed: two integers.
    """
    if posterior.family == "gaussian":
        return objectives.simulated_pairs(posterior, sources, seed)
    return conditional_likelihood(posterior, sources, seed)


def simulated_sources(priors: Sequence[Prior], num: int, seed: tf.Tensor) -> Sources:
    """Draw sources from the priors, independently of each other: (num, source, time)."""
    each = [
        prior.sample(num, tf.random.experimental.stateless_fold_in(seed, 1 + k))[..., 0]
        for k, prior in enumerate(priors)
    ]
    return tf.stop_gradient(tf.cast(tf.stack(each, axis=1), tf.float32))


def annealed(progress: tf.Tensor, settings: ObjectiveSettings) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the priors' noise level and beta at a share ``progress`` of the training, scalars."""
    position = tf.minimum(progress / max(settings.annealed, 1e-6), 1.0)
    low, high = math.log(settings.smallest_sigma), math.log(settings.largest_sigma)
    warm = tf.minimum(progress / max(settings.warmed_up, 1e-6), 1.0)
    return tf.exp(high + (low - high) * position), settings.first_beta + (1.0 - settings.first_beta) * warm


def log_density(prior: Prior, events: Events, sigma: tf.Tensor) -> Nats:
    """Return log p_sigma of events in nats; without a density, zero with the score as gradient.

    Args:
        prior: the prior.
        events: (batch,) + event_shape.
        sigma: noise level, a scalar or (batch,).

    Returns:
        (batch,).
    """
    if prior.has_log_prob:
        return prior.log_prob(events, sigma)
    score = tf.stop_gradient(prior.score(events, sigma))
    product = score * (events - tf.stop_gradient(events))
    return tf.reduce_sum(product, axis=list(range(1, len(prior.event_shape) + 1)))


def negative_elbo(
    posterior: DrawnPosterior,
    priors: Sequence[Prior],
    sources: Sources,
    progress: tf.Tensor,
    seed: tf.Tensor,
    settings: ObjectiveSettings,
) -> Loss:
    """Return minus the bound of the module's text, per dimension of the sources, in nats.

    Args:
        posterior: the networks.
        priors: one per source, over waves as long as a segment; they are not trained.
        sources: (batch, source, time), of which only the mixture is used.
        progress: share of the training that is done, a scalar in 0..1.
        seed: two integers.
        settings: annealing, warm-up and number of draws.
    """
    gains = posterior.gains
    column = tf.constant(gains, sources.dtype)[:, tf.newaxis]
    num_sources, time = sources.shape[1:]
    mixture = mixing.mix(sources, gains)
    sigma, beta = annealed(progress, settings)
    stems, log_q = posterior.draw(mixture, settings.num_samples, seed)
    drawn = tf.reshape(stems / column, [-1, num_sources, time])
    density = [log_density(prior, prior.analyse(drawn[:, k]), sigma) for k, prior in enumerate(priors)]
    log_p = tf.reduce_mean(tf.reduce_sum(tf.stack(density, axis=1), axis=1))
    # From a_k s_k, over which q is a density, to s_k.
    log_q = tf.reduce_mean(tf.reduce_sum(log_q, axis=-1)) + time * sum(math.log(abs(gain)) for gain in gains)
    gamma = settings.likelihood_ratio * sigma * math.sqrt(sum(gain**2 for gain in gains))
    repeated = tf.tile(mixture, [settings.num_samples, 1])
    log_likelihood = tf.reduce_mean(mixing.log_likelihood(repeated, drawn, gamma, gains))
    dimensions = num_sources * time
    metrics = {
        "elbo_per_dim": (log_likelihood + log_p - log_q) / dimensions,
        "log_prior_per_dim": log_p / dimensions,
        "entropy_per_dim": -log_q / dimensions,
        "prior_sigma": sigma,
    }
    return (beta * (log_q - log_p) - log_likelihood) / dimensions, metrics


def conditional_likelihood(posterior: DrawnPosterior, sources: Sources, seed: tf.Tensor) -> Loss:
    """Return the loss of maximum likelihood on simulated pairs for any family of posteriors.

    Means are trained by their own error, as in ``simulated_pairs``.

    The density is trained on the errors of the means, with noise of a thousandth of the mixture's
    level so that an error of zero has a finite density; no gradient of the density reaches the
    means.

    Args:
        posterior: the networks.
        sources: (batch, source, time), drawn independently of each other.
        seed: of the noise, two integers.
    """
    gains, time = posterior.gains, sources.shape[-1]
    mixture = mixing.mix(sources, gains)
    means, spread = posterior(mixture)
    error, power, relative, profile = objectives.errors_of_means(gains, mixture, sources, means)
    dither = tf.random.stateless_normal(tf.shape(error), seed, dtype=error.dtype, alg="philox")
    error += _DITHER * tf.sqrt(power)[:, tf.newaxis, tf.newaxis] * dither
    fixed = tf.stop_gradient(means), spread, tf.stop_gradient(error)
    log_q = posterior.log_prob_of_error(mixture, *fixed) / time
    nll = -tf.reduce_mean(log_q) - 0.5 * tf.reduce_mean(tf.math.log(power))
    metrics = {"mse": relative, "log_mse": profile, "nll_per_dim": nll}
    return 5.0 * relative + 0.2 * profile + 0.05 * nll, metrics
