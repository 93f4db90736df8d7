r"""The heat equation: whether a prior's densities at different noise levels are noised versions of one another.

More noise spreads a density as heat spreads. For every clean density p, with :math:`p_\sigma = p *
\mathcal{N}(0, \sigma^2 I)`, at every point y,

.. math:: \frac{\partial \log p_\sigma(y)}{\partial \sigma^2}
          = \tfrac12 \left( \Delta \log p_\sigma(y) + \|\nabla \log p_\sigma(y)\|^2 \right).

A network that is given sigma is trained at all noise levels, but nothing makes its densities obey
this. Where they do not, the gradient at sigma is not the score of the prior's own noised density,
and Tweedie's formula gives no posterior mean of it.

Both sides are multiplied by :math:`\sigma^2 / D`, D being the dimensions of an event. The two terms
on the right are then near -1/2 and 1/2. All derivatives are of ``log_prob``, whatever the prior
gives as its score. The left side is half the automatic derivative in :math:`\log \sigma`. The
Laplacian is estimated by probes v of independent signs, :math:`E[v^T H v] = \Delta \log p_\sigma`
(Hutchinson, 1990), on products with the Hessian H that central differences of the gradient give,
:math:`Hv \approx [\nabla \log p_\sigma(y + hv) - \nabla \log p_\sigma(y - hv)] / 2h` with h = sigma
/ 20. So no second derivative is asked of a prior, and a flow may recompute what its gradient needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfsep.axes import Events
from tfsep.evaluation.excerpts import IsolatedExcerpts
from tfsep.evaluation.prior_scorer import PriorScorer, noise_like
from tfsep.evaluation.prior_set import PriorSet
from tfsep.prior_test.record import HeatEquation

#: Noise levels; a prior that reaches none of them is measured in the middle of its own range.
SIGMAS = (0.02, 0.1, 0.5, 1.0)
_STEP = 0.05


@dataclass(frozen=True)
class Sides:
    """Both sides of the equation at each event, times sigma^2 / D.

    Attributes:
        left: (event,), the change of the log-density with the noise.
        right: (event,), what the shape of the log-density asks of it; mean over probes.
        error: (event,), standard error of ``right``.
    """

    left: np.ndarray
    right: np.ndarray
    error: np.ndarray

    @property
    def relative(self) -> float:
        """Return the root mean square of left - right, over the sum of theirs: 0 for noised densities, at most 1."""
        return _share(_rms(self.left - self.right), self)

    @property
    def relative_error(self) -> float:
        """Return what the probes alone add to :attr:`relative`, one standard error."""
        return _share(_rms(self.error), self)


def measured(scorer: PriorScorer) -> bool:
    """Return whether a prior has the log-density and the noise range that the equation is about."""
    return scorer.has_log_prob and scorer.knows_noise


def levels(scorer: PriorScorer, sigmas: Sequence[float] = SIGMAS) -> list[float]:
    """Choose the noise levels that a prior reaches, or the geometric middle of its range if it reaches none."""
    prior = scorer.prior
    reached = [sigma for sigma in sigmas if scorer.covers(sigma)]
    return reached or [math.sqrt(prior.smallest_sigma * prior.largest_sigma)]


def sides(scorer: PriorScorer, events: np.ndarray, sigma: float, probes: np.ndarray) -> Sides:
    """Compute both sides at noised events.

    Args:
        scorer: the prior.
        events: (event,) + event_shape, with noise of level sigma.
        sigma: noise level, within the prior's range.
        probes: (probe, event) + event_shape, of signs; at least two.
    """
    num, dimensions, step = len(events), scorer.prior.dimensions, _STEP * sigma
    moved = (events + sign * step * probe for probe in probes for sign in (1.0, -1.0))
    found = scorer.run("derivatives", _derivatives_of(scorer), np.concatenate([events, *moved]), sigma)
    gradients, in_log_sigma = found[:, :-1].reshape(-1, num, dimensions), found[:num, -1]
    products = (gradients[1::2] - gradients[2::2]) / (2.0 * step)
    bends = np.sum(probes.reshape(products.shape) * products, axis=-1)
    scale = 0.5 * sigma**2 / dimensions
    rights = scale * (bends + np.sum(gradients[0] ** 2, axis=-1))
    error = rights.std(axis=0, ddof=1) / math.sqrt(len(probes))
    return Sides(0.5 * in_log_sigma / dimensions, rights.mean(axis=0), error)


def signs(events: np.ndarray, seed: int, label: str, num_probes: int) -> np.ndarray:
    """Draw probes of independent signs, (probe,) + the events' shape, float64, the same at every noise level."""
    normal = np.stack([noise_like(events, seed, label, part) for part in range(num_probes)])
    return np.copysign(1.0, normal.astype(np.float64))


def study(
    tested: PriorSet,
    scorers: Mapping[str, PriorScorer],
    data: IsolatedExcerpts,
    num: int,
    num_probes: int,
    sigmas: Sequence[float] = SIGMAS,
) -> tuple[dict[str, list[list[float]]], HeatEquation]:
    """Measure each prior on noised held-out events of its own source.

    Args:
        tested, scorers, data: the priors and the data; priors without a log-density or without a
            noise range are left out.
        num: events of each source, at least 1.
        num_probes: probes of each event, at least 2.
        sigmas: noise levels.

    Returns:
        {prior: rows [sigma, mean of the left side, of the right side]}, and the residuals.
    """
    means: dict[str, list[list[float]]] = {}
    residuals: dict[str, list[list[float]]] = {}
    for source in (name for name in tested.sources if measured(scorers[name])):
        events = tested.events(data.excerpts(source, num))[:num]
        noise = noise_like(events, data.seed, f"heat/{source}")
        probes = signs(events, data.seed, f"probes/{source}", num_probes)
        means[source], residuals[source] = [], []
        for sigma in levels(scorers[source], sigmas):
            found = sides(scorers[source], events.astype(np.float64) + sigma * noise, sigma, probes)
            means[source].append([sigma, float(np.mean(found.left)), float(np.mean(found.right))])
            residuals[source].append([sigma, found.relative, found.relative_error])
    left_out = [name for name in tested.sources if name not in means]
    return means, {"num_events": num, "num_probes": num_probes, "relative": residuals, "left_out": left_out}


def _derivatives_of(scorer: PriorScorer) -> Callable[[Events, tf.Tensor], tf.Tensor]:
    prior = scorer.prior

    def derivatives(x: Events, sigma: tf.Tensor) -> tf.Tensor:
        """Differentiate the log-density in the event and, last, in log sigma: (num, D + 1)."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch((x, sigma))
            log_prob = prior.log_prob(x, sigma)
        in_x, in_sigma = tape.gradient(log_prob, (x, sigma), unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return tf.concat([tf.reshape(in_x, [-1, prior.dimensions]), (sigma * in_sigma)[:, tf.newaxis]], axis=1)

    return derivatives


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _share(value: float, of: Sides) -> float:
    return value / max(_rms(of.left) + _rms(of.right), np.finfo(np.float64).tiny)
