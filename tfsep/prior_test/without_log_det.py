r"""The published reading re-created: what cross-likelihoods look like when the log-determinant is left out or weighted.

A flow's log-density is :math:`\log \mathcal{N}(g(x); 0, I) + \log|\det \partial g / \partial x|`. The study reported
the first term alone, and trained with the second one weighted by 1/4. The weight is a switch of this experiment; priors
do not have it. With any weight but 1 the number is no log-density: it breaks Gibbs' bound (gibbs_bound.py) and can be
raised without limit by a map that shrinks everything to the origin.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import tensorflow as tf

from tfsep.evaluation.prior_scorer import PriorScorer, noise_like
from tfsep.evaluation.prior_set import PriorSet
from tfsep.prior_test import cross_likelihood
from tfsep.prior_test.cross_likelihood import Rows, Table
from tfsep.prior_test.gibbs_bound import SPREADS
from tfsep.priors.base import Prior

#: Left out, as trained in the study, and right.
WEIGHTS = (0.0, 0.25, 1.0)


@runtime_checkable
class Codec(Protocol):
    """A flow: what has latents and a log-determinant."""

    def encode(self, x: Any, sigma: Any = None) -> tuple[tf.Tensor, tf.Tensor]:
        """Events -> (latents, log-determinant (batch,))."""

    def decode(self, z: Any, sigma: Any = None) -> tf.Tensor:
        """Latents -> events."""


def is_codec(judge: PriorScorer) -> bool:
    """Whether a prior is a flow."""
    return has_latents(judge.prior)


def has_latents(prior: Prior) -> bool:
    """Whether a prior says that it maps events to latents or, saying nothing of it, has the means to."""
    return bool(getattr(prior, "has_latents", isinstance(prior, Codec)))


def log_det_per_dim(judge: PriorScorer, events: np.ndarray, sigma: float | None) -> np.ndarray:
    """The log-determinant of a flow from data to latent, per dimension: (num,)."""
    prior = judge.prior
    assert isinstance(prior, Codec)

    def log_det(x: tf.Tensor, level: tf.Tensor | None) -> tf.Tensor:
        return prior.encode(x, level)[1]

    return judge.run("log_det", log_det, events, sigma) / prior.dimensions


def read(
    tested: PriorSet,
    judges: Mapping[str, PriorScorer],
    rows: Rows,
    table: Table,
    sigma: float | None,
    seed: int,
    weights: Sequence[float] = WEIGHTS,
) -> list[dict[str, Any]]:
    """The cross-likelihood with several weights of the log-determinant.

    Args:
        tested, judges, rows, sigma, seed: as of :func:`tfsep.prior_test.cross_likelihood.tables`.
        table: the log-densities that it found.
        weights: of the log-determinant.

    Returns:
        For each weight ``weight``, ``log_prob`` {prior: {source: mean}}, the scores of
        :func:`~tfsep.prior_test.cross_likelihood.discrimination`, ``gibbs_excess`` {prior: the most by which it
        exceeds Gibbs' bound on white noise, in nats per dimension; below 0 for a density}.
    """
    names = tested.sources
    dets = cross_likelihood.tables(tested, judges, rows, [sigma], seed, log_det_per_dim)[sigma]
    noise = {name: _on_noise(judge, seed) for name, judge in judges.items()}
    found = []
    for weight in weights:
        weighted = {row: table[row] + (weight - 1.0) * dets[row] for row in rows}
        excess = {name: log_probs + (weight - 1.0) * log_dets for name, (log_probs, log_dets) in noise.items()}
        found.append(
            {
                "weight": weight,
                "log_prob": cross_likelihood.means(weighted, names, names),
                **cross_likelihood.discrimination(weighted, names),
                "gibbs_excess": {name: float(values.max()) for name, values in excess.items()},
            }
        )
    return found


def _on_noise(judge: PriorScorer, seed: int, num: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Mean log-density above Gibbs' bound and mean log-determinant on noise of each spread, per dimension."""
    noise = noise_like(np.zeros((num, *judge.prior.event_shape), np.float32), seed, "gibbs")
    square = float(np.mean(noise.astype(np.float64) ** 2))
    excess, dets = [], []
    for spread in SPREADS:
        own = -0.5 * (square + math.log(math.tau * spread**2))
        excess.append(np.mean(cross_likelihood.nats_per_dim(judge, spread * noise, None)) - own)
        dets.append(np.mean(log_det_per_dim(judge, spread * noise, None)))
    return np.array(excess), np.array(dets)
