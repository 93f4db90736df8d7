r"""Cross-likelihoods of flows without the log-determinant, or with a part of it, as Frank (2020) reported them.

A flow's log-density is :math:`\log \mathcal{N}(g(x); 0, I) + \log|\det \partial g / \partial x|`.
That study reported the first term alone, and trained with the second one weighted by 1/4. The
weight is a switch of this experiment; priors do not have it. With any weight but 1 the number is no
log-density: it breaks Gibbs' bound (gibbs_bound.py) and can be raised without limit by a map that
shrinks everything to the origin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import tensorflow as tf

from tfsep.axes import Events, Nats, Sigma
from tfsep.evaluation.prior_scorer import PriorScorer
from tfsep.evaluation.prior_set import PriorSet
from tfsep.prior_test import cross_likelihood
from tfsep.prior_test.cross_likelihood import Inputs, Table
from tfsep.prior_test.gibbs_bound import SPREADS, excess, noise_events
from tfsep.prior_test.record import WeightedLogDet
from tfsep.priors.base import Prior

#: Left out, as trained in that study, and right.
WEIGHTS = (0.0, 0.25, 1.0)
_NOISE = 32


@runtime_checkable
class Codec(Protocol):
    """A flow: what has latents and a log-determinant."""

    def encode(self, x: Events, sigma: Sigma | None = None) -> tuple[tf.Tensor, Nats]:
        """Map events to latents, with the log-determinant (batch,)."""

    def decode(self, z: tf.Tensor, sigma: Sigma | None = None) -> Events:
        """Map latents to events."""


def is_codec(scorer: PriorScorer) -> bool:
    """Return whether a prior is a flow."""
    return has_latents(scorer.prior)


def has_latents(prior: Prior) -> bool:
    """Return whether a prior declares, or has the method, to map events to latents."""
    return bool(getattr(prior, "has_latents", isinstance(prior, Codec)))


def log_det_per_dim(scorer: PriorScorer, events: np.ndarray, sigma: float | None) -> np.ndarray:
    """Compute the log-determinant of a flow from data to latent, per dimension: (num,)."""
    prior = scorer.prior
    assert isinstance(prior, Codec)

    def log_det(x: Events, level: tf.Tensor | None) -> Nats:
        return prior.encode(x, level)[1]

    return scorer.run("log_det", log_det, events, sigma) / prior.dimensions


def by_weight(
    tested: PriorSet,
    scorers: Mapping[str, PriorScorer],
    inputs: Inputs,
    table: Table,
    sigma: float | None,
    seed: int,
    weights: Sequence[float] = WEIGHTS,
) -> list[WeightedLogDet]:
    """Measure the cross-likelihood with several weights of the log-determinant.

    Args:
        tested, scorers, inputs, sigma, seed: as of
            :func:`tfsep.prior_test.cross_likelihood.tables`.
        table: the log-densities that it found.
        weights: of the log-determinant.

    Returns:
        For each weight ``weight``, ``log_prob`` {prior: {source: mean}}, what
        :func:`~tfsep.prior_test.cross_likelihood.discrimination` finds, ``gibbs_excess`` {prior:
        the most by which it exceeds Gibbs' bound on white noise, in nats per dimension; below 0 for
        a density}.
    """
    names = tested.sources
    dets = cross_likelihood.tables(tested, scorers, inputs, [sigma], seed, log_det_per_dim)[sigma]
    noise = {name: _on_noise(scorer, seed) for name, scorer in scorers.items()}
    found: list[WeightedLogDet] = []
    for weight in weights:
        weighted = {name: table[name] + (weight - 1.0) * dets[name] for name in inputs}
        above = {name: log_probs + (weight - 1.0) * log_dets for name, (log_probs, log_dets) in noise.items()}
        found.append(
            {
                "weight": weight,
                "log_prob": cross_likelihood.means(weighted, names, names),
                **cross_likelihood.discrimination(weighted, names),
                "gibbs_excess": {name: float(values.max()) for name, values in above.items()},
            }
        )
    return found


def _on_noise(scorer: PriorScorer, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Measure the excess over Gibbs' bound and the mean log-determinant per dimension, on noise of each spread."""
    noise = noise_events(scorer, _NOISE, seed)
    above = [excess(scorer, noise, spread) for spread in SPREADS]
    dets = [float(np.mean(log_det_per_dim(scorer, spread * noise, None))) for spread in SPREADS]
    return np.array(above), np.array(dets)
