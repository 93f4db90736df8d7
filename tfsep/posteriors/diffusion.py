r"""Diffusion sampling: the priors' probability flow down a schedule of noise, among sources that explain the mixture.

With the denoisers D of the priors, in the form of Karras et al. (EDM),

.. math:: \frac{d s_k}{d \sigma} = \frac{s_k - D_k(s_k, \sigma)}{\sigma} = -\sigma \nabla \log p_\sigma(s_k),

by Euler's or Heun's steps between the levels of the schedule. Churn adds noise before each step and
so takes :math:`\hat\sigma = (1 + c) \sigma` down instead of :math:`\sigma`. The constraint
:math:`\sum_k a_k s_k = m` is exact at every level, in one of two coordinates: ``projection`` moves
within the space of solutions and favours no source; ``last_source`` frees all but the last, which
follows as :math:`s_N = (m - \sum_{k<N} a_k s_k) / a_N`, so that :math:`\nabla_k \leftarrow \nabla_k
- (a_k / a_N) \nabla_N`.

The flow of the constrained densities is not the constrained flow of the densities (they agree if
all sources have one isotropic covariance), so without correction the draws are biased. Corrector
steps, Langevin's at each level and in the same coordinates, make this a sampler.

Sources: Karras et al. 2022, algorithm 2 and equation 5; Song et al. 2021 (corrector); Mariani et
al. 2024 (MSDM, last-source form).
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tfsep import mixing
from tfsep.axes import Sigma, Sources, Waves
from tfsep.errors import InputError
from tfsep.posteriors.annealed import Annealed, AnnealingSettings
from tfsep.posteriors.base import needs_score
from tfsep.posteriors.noise_schedule import karras
from tfsep.priors.base import Prior
from tfsep.runtime.stateless_random import fold, normal, shape_of, split

ORDERS = ("euler", "heun")
CONSTRAINTS = ("projection", "last_source")
_MOST_CHURN = 2.0**0.5 - 1.0


class Diffusion(Annealed):
    """Constrained diffusion sampling over waveforms, one compiled loop.

    Args:
        priors: one per source, over waves, with a score.
        gains: mixing gains; None is the mean.
        annealing: the schedule and the chains; None is the kind's defaults.
        rho: of the schedule of Karras et al., whose last step goes to no noise.
        order: "heun" or "euler".
        churn: noise added over the whole run (their S_churn); each level takes min(churn /
            num_levels, sqrt(2) - 1), and none rises above ``largest_sigma``.
        constraint: "projection" or "last_source".
        num_corrections: Langevin steps after each step of the flow.
        correction_step: their length in units of sigma^2.

    Raises:
        InputError: for priors that cannot serve, a setting out of its range, or a corrector that is
            not stable.
    """

    kind = "diffusion"
    annealing_defaults = AnnealingSettings(largest_sigma=8.0, smallest_sigma=0.02, num_levels=50)

    def __init__(
        self,
        priors: Sequence[Prior] | None,
        gains: Sequence[float] | None = None,
        annealing: AnnealingSettings | None = None,
        rho: float = 7.0,
        order: str = "heun",
        churn: float = 0.0,
        constraint: str = "projection",
        num_corrections: int = 0,
        correction_step: float = 0.1,
    ) -> None:
        """Check the settings, the stability of the corrector among them."""
        for name, value, known in (("order", order, ORDERS), ("constraint", constraint, CONSTRAINTS)):
            if value not in known:
                raise InputError(f"{name} must be one of {', '.join(known)}, got {value!r}")
        if not churn >= 0.0 or num_corrections < 0:
            raise InputError(f"churn and num_corrections must be at least 0, got {churn:g} and {num_corrections}")
        annealing = self.settings_or_defaults(annealing)
        largest_sigma, smallest_sigma = annealing.largest_sigma, annealing.smallest_sigma
        sigmas = karras(largest_sigma, smallest_sigma, annealing.num_levels, rho)
        super().__init__(priors, gains, annealing, sigmas, [largest_sigma, smallest_sigma])
        needs_score(self.kind, self.priors)
        self.order, self.constraint = order, constraint
        self.churn = min(churn / annealing.num_levels, _MOST_CHURN)
        self.num_corrections, self.correction_step = num_corrections, correction_step
        self.is_sampler = num_corrections > 0
        if not 0.0 < self.stability() < 2.0:
            raise InputError(
                "the corrector is stable only while correction_step, times |a|^2 / a_N^2 for the last-source form, "
                f"lies in 0..2, got {self.stability():.3g}"
            )

    def stability(self) -> float:
        """Return the step of the corrector times the largest curvature, in units of 1/sigma^2; below 2 it is stable."""
        stretch = sum(gain**2 for gain in self.gains) / self.gains[-1] ** 2
        return self.correction_step * (1.0 if self.constraint == "projection" else stretch)

    def evaluations(self, num_levels: int) -> int:
        """Return those of the steps between levels, of their corrections, and the last; see :class:`Annealed`."""
        return (num_levels - 1) * ((2 if self.order == "heun" else 1) + self.num_corrections) + 1

    def run(
        self, mixture: tf.Tensor, sources: tf.Tensor, sigmas: tf.Tensor, seed: tf.Tensor, levels: tf.Tensor
    ) -> tf.Tensor:
        """Step from each level to the next one; see :class:`Annealed`."""

        def descend(level: tf.Tensor, sources: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            seeds = split(fold(seed, level), 2)
            moved = self._step(mixture, sources, sigmas[level], sigmas[level + 1], seeds[0])
            if self.num_corrections:
                moved = self._correct(mixture, moved, sigmas[level + 1], seeds[1])
            return level + 1, moved

        stop = tf.minimum(levels[1], tf.shape(sigmas)[0] - 1)
        begin = (levels[0], sources)
        return tf.while_loop(lambda level, _: level < stop, descend, begin, parallel_iterations=1)[1]

    def enter(self, mixture: Waves, sources: Sources) -> Sources:
        """Move the chains onto the mixture; see :class:`Annealed`."""
        return self._constrain(mixture, sources)

    def finish(self, sources: Sources, sigma: Sigma) -> Sources:
        """Take Tweedie's step to no noise; see :class:`Annealed`."""
        return self.denoised(sources, sigma)

    def _step(
        self, mixture: tf.Tensor, sources: tf.Tensor, sigma: tf.Tensor, lower: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        """Take one step of the flow from sigma to a lower level, after churn."""
        if self.churn:
            raised = tf.minimum((1.0 + self.churn) * sigma, self.annealing.largest_sigma)
            sources += tf.sqrt(tf.maximum(raised**2 - sigma**2, 0.0)) * self._noise(sources, seed)
            sigma = raised
        slope = -sigma * self._drift(sources, sigma)
        moved = self._constrain(mixture, sources + (lower - sigma) * slope)
        if self.order == "heun":
            slope = 0.5 * (slope - lower * self._drift(moved, lower))
            moved = self._constrain(mixture, sources + (lower - sigma) * slope)
        return moved

    def _correct(self, mixture: tf.Tensor, sources: tf.Tensor, sigma: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Take Langevin steps at one level."""
        eta = self.correction_step * sigma**2

        def move(step: tf.Tensor, sources: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            jump = tf.sqrt(2.0 * eta) * self._noise(sources, fold(seed, step))
            return step + 1, self._constrain(mixture, sources + eta * self._drift(sources, sigma) + jump)

        count = self.num_corrections
        return tf.while_loop(lambda step, _: step < count, move, (0, sources), parallel_iterations=1)[1]

    def _drift(self, sources: Sources, sigma: Sigma) -> Sources:
        """Return the score in the coordinates of the constraint, as a move of all sources."""
        score = self.scores(sources, sigma)
        if self.constraint == "projection":
            return mixing.project_tangent(score, self.gains)
        ratios = tf.constant(self.gains)[:, tf.newaxis] / self.gains[-1]
        return self._follow(score - ratios * score[:, -1:])

    def _noise(self, sources: Sources, seed: tf.Tensor) -> Sources:
        """Draw standard normal noise in the coordinates of the constraint, as a move of all sources."""
        noise = normal(shape_of(sources), seed)
        return mixing.project_tangent(noise, self.gains) if self.constraint == "projection" else self._follow(noise)

    def _follow(self, move: Sources) -> Sources:
        """Return the move whose last source cancels what the others do to the mixture."""
        free = move[:, :-1]
        column = tf.constant(self.gains[:-1])[:, tf.newaxis]
        last = -tf.reduce_sum(column * free, axis=1, keepdims=True) / self.gains[-1]
        return tf.concat([free, last], axis=1)

    def _constrain(self, mixture: Waves, sources: Sources) -> Sources:
        """Restore the constraint, from which rounding or the start may deviate."""
        if self.constraint == "projection":
            return mixing.project(mixture, sources, self.gains)
        error = mixing.residual(mixture, sources, self.gains)[:, tf.newaxis]
        return tf.concat([sources[:, :-1], sources[:, -1:] + error / self.gains[-1]], axis=1)
