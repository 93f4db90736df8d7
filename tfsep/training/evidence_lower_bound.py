r"""The evidence lower bound of an amortised posterior, against priors that stay as they are.

.. math:: \mathcal{L} = \mathbb{E}_q\Big[\log p_\gamma(m|s)
          + \beta \sum_k \big(\log p_{k,\sigma}(s_k) - \log q_k(s_k|m)\big)\Big]

It needs mixtures and no sources, and is estimated by reparameterised draws. A noised source is the
source plus noise of level sigma, so the mixture of noised sources misses m by noise of level
:math:`\gamma = r \sigma \|a\|`, with r = 1.

A prior whose score is taken from conditionals (``score_of``) gives the bound its exact log-density,
and moves draws by that score: the gradient of a pseudo-likelihood, not of the bound. A flow's own
gradient is next to useless for moving waves, as it goes through the networks that it conditions on.

Source: Kingma and Welling 2014 (reparameterisation).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf

from tfsep import mixing
from tfsep.axes import Events, Nats, Sources
from tfsep.priors.base import Prior
from tfsep.training.pair_objectives import DrawnPosterior
from tfsep.training.task import Loss


def log_density(prior: Prior, events: Events, sigma: tf.Tensor) -> Nats:
    """Return log p_sigma of events in nats, whose gradient in the events is the prior's score.

    Args:
        prior: the prior; without a density the value is zero.
        events: (batch,) + event_shape.
        sigma: noise level, a scalar or (batch,).

    Returns:
        (batch,).
    """
    if prior.has_log_prob and prior.score_of == "gradient":
        return prior.log_prob(events, sigma)
    fixed = tf.stop_gradient(events)
    product = tf.stop_gradient(prior.score(fixed, sigma)) * (events - fixed)
    moved = tf.reduce_sum(product, axis=list(range(1, len(prior.event_shape) + 1)))
    return moved + tf.stop_gradient(prior.log_prob(fixed, sigma)) if prior.has_log_prob else moved


def negative_elbo(
    posterior: DrawnPosterior,
    priors: Sequence[Prior],
    sources: Sources,
    sigma: tf.Tensor,
    beta: tf.Tensor,
    seed: tf.Tensor,
    num_samples: int = 1,
    likelihood_ratio: float = 1.0,
) -> Loss:
    """Return minus the bound of the module's text, per dimension of the sources, in nats.

    Args:
        posterior: the networks.
        priors: one per source, over waves as long as a segment; they are not trained.
        sources: (batch, source, time), of which only the mixture is used.
        sigma: noise level of the priors, a scalar.
        beta: weight of the divergence from the priors, a scalar in 0..1.
        seed: two integers.
        num_samples: draws of q per mixture.
        likelihood_ratio: r = gamma / (sigma |a|), above 0.
    """
    gains = posterior.gains
    column = tf.constant(gains, sources.dtype)[:, tf.newaxis]
    num_sources, time = sources.shape[1:]
    mixture = mixing.mix(sources, gains)
    stems, log_q = posterior.draw(mixture, num_samples, seed)
    drawn = tf.reshape(stems / column, [-1, num_sources, time])
    density = [log_density(prior, prior.analyse(drawn[:, k]), sigma) for k, prior in enumerate(priors)]
    log_p = tf.reduce_mean(tf.reduce_sum(tf.stack(density, axis=1), axis=1))
    # From a_k s_k, over which q is a density, to s_k.
    log_q = tf.reduce_mean(tf.reduce_sum(log_q, axis=-1)) + time * sum(math.log(abs(gain)) for gain in gains)
    gamma = likelihood_ratio * sigma * math.sqrt(sum(gain**2 for gain in gains))
    repeated = tf.tile(mixture, [num_samples, 1])
    log_likelihood = tf.reduce_mean(mixing.log_likelihood(repeated, drawn, gamma, gains))
    dimensions = num_sources * time
    metrics = {
        "elbo_per_dim": (log_likelihood + log_p - log_q) / dimensions,
        "log_prior_per_dim": log_p / dimensions,
        "entropy_per_dim": -log_q / dimensions,
        "prior_sigma": sigma,
    }
    return (beta * (log_q - log_p) - log_likelihood) / dimensions, metrics
