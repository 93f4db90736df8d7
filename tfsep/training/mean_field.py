r"""Amortised mean-field inference: natural gradients of the evidence lower bound over tilted priors.

The family of a source is its own prior, tilted by a pseudo-observation :math:`u_k(m)`, the
network's output,

.. math:: q_k(s|m) \propto p_k(s)\, \mathcal{N}(u_k; s, \sigma_k^2 I), \qquad \mathbb{E}_{q_k} s = D_k(u_k, \sigma_k),

with D the prior's denoiser. Under the likelihood :math:`\mathcal{N}(m; \sum_k a_k s_k, \gamma^2 I)`
with :math:`\gamma = |a_k| \sigma_k` for all k, the variances of the sources cancel and the bound
has a closed form,

.. math:: \mathcal{L} = \log \mathcal{N}\big(m; {\textstyle\sum_k} a_k D_k, \gamma^2 I\big)
          + \sum_k \big( \log p_{k,\sigma_k}(u_k) - \log \mathcal{N}(u_k; D_k, \sigma_k^2 I) \big).

Its gradient in :math:`u_k` is :math:`\partial D_k/\partial u_k\,(o_k - u_k)/\sigma_k^2` with
:math:`o_k = D_k + (m - \sum_j a_j D_j)/a_k`, what the other sources leave to source k. The matrix
is the Fisher information of q in :math:`u_k`, up to :math:`\sigma_k^2`. Without it the rest is the
natural gradient, the direction of a Jacobi update (:mod:`tfsep.posteriors.gibbs`), so the network's
target is :math:`o_k`. A plain Gaussian q, as in :mod:`tfsep.training.evidence_lower_bound`, depends
on its own share of the mixture only and stays between the modes.

That direction is a local one: two sources that are swapped explain the mixture nearly as well, and
stay swapped. So at each step an exchange of pairs of pseudo-observations is proposed; where it
raises the bound, the network is trained on the update from there. If a pair is tried in some steps
only, the network has two conflicting targets and keeps the more frequent one: pairs that are known
to be swapped belong into every step. With ``reassign`` all N! assignments of pseudo-observations to
sources are tried in each step, and the one of the highest bound is kept; contributions
:math:`a_j u_j` change hands, as in :mod:`tfsep.posteriors.particles`.

With more than one ``round`` the network follows the end of so many updates of the
pseudo-observations: all but the last go half of the way to :math:`o_k`, as a full Jacobi update of
N sources overshoots.

The closed form is exact where D is the posterior mean of :math:`p_{k,\sigma}`. With a trained flow
it is as good as the flow; with one whose score is taken from conditionals, D and the log-density
belong to two models of one source.

The noise level falls during training as in :mod:`tfsep.training.posterior_objectives`.

Sources: Khan and Lin 2017 (conjugate-computation variational inference), section 3, for natural
gradients as gradients in expectation parameters; Robbins 1956 for D; Ueda et al. 2000 (split and
merge EM) for proposals; Kim et al. 2018 (semi-amortised variational inference) for rounds.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import tensorflow as tf

from tfsep import mixing
from tfsep.axes import Nats, Sources, Waves
from tfsep.errors import InputError
from tfsep.posteriors.base import events_of
from tfsep.priors.base import Prior
from tfsep.training import pair_objectives
from tfsep.training.task import Loss

T = TypeVar("T")


def levels(gains: Sequence[float], sigma: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Return gamma, ``sigma`` times the RMS of the gains, and each sigma_k = gamma / |a_k|."""
    gamma = sigma * math.sqrt(sum(gain**2 for gain in gains) / len(gains))
    return gamma, [gamma / abs(gain) for gain in gains]


def means_of(priors: Sequence[Prior], observed: Sources, sigmas: Sequence[tf.Tensor]) -> Sources:
    """Return the tilted priors' means D_k for pseudo-observations, both (batch, source, time)."""
    triples = zip(priors, events_of(observed), sigmas, strict=True)
    return tf.stack([prior.denoise(events, sigma)[..., 0] for prior, events, sigma in triples], axis=1)


def bound(priors: Sequence[Prior], mixture: Waves, observed: Sources, gains: Sequence[float], sigma: tf.Tensor) -> Nats:
    """Return the bound in its closed form above, in nats, (batch,).

    Args:
        priors: one per source, over waves; they need log-densities.
        mixture: (batch, time).
        observed: u_k, before gains, (batch, source, time).
        gains: a_1..a_N.
        sigma: noise level, a scalar.
    """
    gamma, sigmas = levels(gains, sigma)
    means = means_of(priors, observed, sigmas)
    total = mixing.log_likelihood(mixture, means, gamma, gains)
    for k, prior in enumerate(priors):
        total -= divergence(prior, observed[:, k], means[:, k], sigmas[k])
    return total


def divergence(prior: Prior, observed: Waves, mean: Waves, sigma: tf.Tensor) -> Nats:
    """Return KL(q_k || p_k) of a tilted prior in nats, (batch,).

    Args:
        prior: p_k.
        observed, mean: u_k and D_k, (batch, time).
        sigma: sigma_k.
    """
    distance = tf.reduce_sum((observed - mean) ** 2, axis=-1)
    constant = float(observed.shape[-1]) * (tf.math.log(sigma) + 0.5 * math.log(math.tau))
    return -prior.log_prob(observed[..., tf.newaxis], sigma) - 0.5 * distance / sigma**2 - constant


def exchanged(
    priors: Sequence[Prior],
    mixture: Waves,
    observed: Sources,
    means: Sources,
    gains: Sequence[float],
    sigma: tf.Tensor,
    pair: tuple[int, int],
) -> tuple[Sources, Sources, tf.Tensor]:
    """Return pseudo-observations and means D_k, with a pair exchanged if that raises the bound.

    Args:
        priors, mixture, observed, gains, sigma: as of :func:`bound`.
        means: D_k of ``observed``, (batch, source, time).
        pair: indices of two sources.

    Returns:
        The pseudo-observations and their means, (batch, source, time), and whether each example's
        pair was exchanged, (batch,).
    """
    gamma, sigmas = levels(gains, sigma)
    kept, new = list(tf.unstack(observed, axis=1)), list(tf.unstack(means, axis=1))
    gain = tf.zeros_like(mixture[:, 0])
    for k, other in (pair, pair[::-1]):
        kept[k] = offered = observed[:, other]
        new[k] = priors[k].denoise(offered[..., tf.newaxis], sigmas[k])[..., 0]
        gain += divergence(priors[k], observed[:, k], means[:, k], sigmas[k])
        gain -= divergence(priors[k], offered, new[k], sigmas[k])
    proposed = tf.stack(new, axis=1)
    gain += mixing.log_likelihood(mixture, proposed, gamma, gains)
    better = gain > mixing.log_likelihood(mixture, means, gamma, gains)
    chosen = better[:, tf.newaxis, tf.newaxis]
    return tf.where(chosen, tf.stack(kept, axis=1), observed), tf.where(chosen, proposed, means), better


def reassigned(
    priors: Sequence[Prior], mixture: Waves, observed: Sources, gains: Sequence[float], sigma: tf.Tensor
) -> tuple[Sources, Sources, tf.Tensor]:
    """Return pseudo-observations and means D_k in the assignment to sources that has the highest bound.

    Args:
        priors, mixture, observed, gains, sigma: as of :func:`bound`; all N! assignments are tried.

    Returns:
        The pseudo-observations and their means, (batch, source, time), and whether each example's
        assignment is another than the given one, (batch,).
    """
    gamma, sigmas = levels(gains, sigma)
    num = len(priors)
    offers, means, divergences = [], [], []
    for k, prior in enumerate(priors):
        offered = observed * tf.constant([gain / gains[k] for gain in gains], observed.dtype)[:, tf.newaxis]
        flat = tf.reshape(offered, [-1, offered.shape[-1]])
        mean = prior.denoise(flat[..., tf.newaxis], sigmas[k])[..., 0]
        offers.append(offered)
        means.append(tf.reshape(mean, tf.shape(offered)))
        divergences.append(tf.reshape(divergence(prior, flat, mean, sigmas[k]), [-1, num]))
    every = list(itertools.permutations(range(num)))
    bounds = []
    for order in every:
        chosen = tf.stack([means[k][:, j] for k, j in enumerate(order)], axis=1)
        divergent = tf.add_n([divergences[k][:, j] for k, j in enumerate(order)])
        bounds.append(mixing.log_likelihood(mixture, chosen, gamma, gains) - divergent)
    best = tf.argmax(tf.stack(bounds, axis=1), axis=1)
    places = tf.gather(tf.constant(every), best)

    def pick(each: list[Sources]) -> Sources:
        return tf.stack([tf.gather(each[k], places[:, k], axis=1, batch_dims=1) for k in range(num)], axis=1)

    return pick(offers), pick(means), best > 0


def any_pair(num_sources: int, seed: tf.Tensor, exchange: Callable[[tuple[int, int]], T]) -> T:
    """Return what ``exchange`` returns for a pair of sources that is drawn at random."""
    pairs = list(itertools.combinations(range(num_sources), 2))
    chosen = tf.random.stateless_uniform((), seed, maxval=len(pairs), dtype=tf.int32, alg="philox")
    return tf.switch_case(chosen, [functools.partial(exchange, pair) for pair in pairs])


def after_exchanges(
    priors: Sequence[Prior],
    mixture: Waves,
    observed: Sources,
    means: Sources,
    gains: Sequence[float],
    sigma: tf.Tensor,
    seed: tf.Tensor,
    pairs: Sequence[tuple[int, int]],
) -> tuple[Sources, Sources, tf.Tensor]:
    """Return what :func:`exchanged` does after all ``pairs``, or one drawn by ``seed`` where there are none."""

    def exchange(pair: tuple[int, int]) -> tuple[Sources, Sources, tf.Tensor]:
        return exchanged(priors, mixture, observed, means, gains, sigma, pair)

    swapped = tf.zeros_like(mixture[:, 0], tf.bool)
    if len(priors) > 1 and not pairs:
        return any_pair(len(priors), seed, exchange)
    for pair in pairs:
        observed, means, accepted = exchanged(priors, mixture, observed, means, gains, sigma, pair)
        swapped |= accepted
    return observed, means, swapped


def natural_gradient(
    posterior: pair_objectives.LearnedPosterior,
    priors: Sequence[Prior],
    sources: Sources,
    sigma: tf.Tensor,
    seed: tf.Tensor,
    pairs: Sequence[tuple[int, int]] = (),
    reassign: bool = False,
    rounds: int = 1,
) -> Loss:
    """Return a loss whose gradient in a network's u_k is the natural gradient of minus the bound.

    It is relative to the mixture's power. The posterior's means of a_k s_k are used as a_k u_k;
    they need not sum to the mixture. Its spread is fitted to their distance from a_k D_k.

    Args:
        posterior: the networks.
        priors: one per source, over waves as long as a segment; they are not trained.
        sources: (batch, source, time), of which only the mixture is used.
        sigma: noise level, a scalar.
        seed: two integers, for the pair that may be exchanged.
        pairs: indices of sources that may be exchanged in every step, none twice; if empty, one
            pair, drawn at random.
        reassign: try all assignments instead of pairs.
        rounds: updates of the pseudo-observations that the network follows, at least 1.

    Raises:
        InputError: for a posterior of another family than "gaussian", whose flow nothing here would
            train.
    """
    if posterior.family != "gaussian":
        raise InputError(f"objective 'mean_field' trains posteriors of family 'gaussian', got {posterior.family!r}")
    gains = posterior.gains
    column = tf.constant(gains, sources.dtype)[:, tf.newaxis]
    mixture = mixing.mix(sources, gains)
    shares, spread = posterior(mixture)
    _, sigmas = levels(gains, sigma)
    observed = tf.stop_gradient(shares / column)
    if reassign:
        observed, means, swapped = reassigned(priors, mixture, observed, gains, sigma)
        own = means
    else:
        own = means_of(priors, observed, sigmas)
        observed, means, swapped = after_exchanges(priors, mixture, observed, own, gains, sigma, seed, pairs)
    missed = tf.stop_gradient(shares - column * own) ** 2
    left = mixing.residual(mixture, means, gains)
    offered = means + left[:, tf.newaxis] / column
    for _ in range(rounds - 1):
        observed += 0.5 * (offered - observed)
        means = means_of(priors, observed, sigmas)
        left = mixing.residual(mixture, means, gains)
        offered = means + left[:, tf.newaxis] / column
    offered = tf.stop_gradient(offered)
    _, power, relative, profile = pair_objectives.errors_of_means(gains, mixture, offered, shares)
    missed += 1e-6 * power[:, tf.newaxis, tf.newaxis]
    nll = 0.5 * missed * tf.exp(-2.0 * spread) + spread - 0.5 * tf.math.log(power)[:, tf.newaxis, tf.newaxis]
    nll = tf.reduce_mean(nll)
    unexplained = tf.reduce_mean(tf.reduce_mean(left**2, axis=-1) / power)
    metrics = {"offer_mse": relative, "unexplained": unexplained, "prior_sigma": sigma}
    metrics["exchanged"] = tf.reduce_mean(tf.cast(swapped, tf.float32))
    return 5.0 * relative + 0.2 * profile + 0.05 * nll, metrics
