r"""An exact Gibbs sampler: each source is drawn from its own posterior given the mixture and all other sources.

With :math:`m = \sum_k a_k s_k + \mathcal{N}(0, \gamma^2 I)`, the others leave to source k itself
plus noise,

.. math:: y_k = \frac{m - \sum_{j \ne k} a_j s_j}{a_k} = s_k + \mathcal{N}\!\big(0, (\gamma / a_k)^2 I\big),

so a draw of :math:`p(s_k | m, s_{j \ne k})` is one draw of clean events given a noised one, which
``posterior_sample`` of a prior draws exactly. Sweeping the sources in random order leaves
:math:`p(s|m)` at mixture noise gamma invariant; gamma falls with the schedule, whose levels
:math:`\sigma = \gamma \sqrt{N} / \|a\|` are the noise on sources of equal gains. At low noise
successive draws differ little: modes are chosen at the high levels.

Source: Geman and Geman 1984.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf

from tfsep import mixing
from tfsep.axes import Sigma, Sources, Waves
from tfsep.errors import InputError
from tfsep.posteriors.annealed import Annealed, AnnealingSettings
from tfsep.posteriors.gibbs_sweep import sweep_in_any_order
from tfsep.posteriors.noise_schedule import geometric
from tfsep.priors.base import Prior
from tfsep.runtime.stateless_random import fold, split


class StochasticGibbs(Annealed):
    """Annealed Gibbs sampling over waveforms, one compiled loop.

    Args:
        priors: one per source, over waves, with an exact ``posterior_sample``.
        gains: mixing gains; None is the mean.
        annealing: the schedule, which is geometric, and the chains; None is the kind's defaults.
        num_sweeps: sweeps over all sources at each level.

    Raises:
        InputError: for priors that cannot draw clean events given noised ones, or a setting out of
            its range.
    """

    kind = "stochastic_gibbs"
    is_sampler = True
    annealing_defaults = AnnealingSettings(largest_sigma=8.0, smallest_sigma=0.1, num_levels=20, jit_compile=False)
    annealing_fields = ("largest_sigma", "smallest_sigma", "num_levels", "start_sigma", "num_chains")

    def __init__(
        self,
        priors: Sequence[Prior] | None,
        gains: Sequence[float] | None = None,
        annealing: AnnealingSettings | None = None,
        num_sweeps: int = 1,
    ) -> None:
        """Check the settings, and that every prior can draw."""
        if num_sweeps < 1:
            raise InputError(f"num_sweeps must be at least 1, got {num_sweeps}")
        self.num_sweeps = num_sweeps
        annealing = self.settings_or_defaults(annealing)
        largest_sigma, smallest_sigma = annealing.largest_sigma, annealing.smallest_sigma
        sigmas = geometric(largest_sigma, smallest_sigma, annealing.num_levels)
        limits = [largest_sigma, smallest_sigma]
        if priors:
            factors = noise_factors(mixing.gain_vector(len(priors), gains))
            limits = [largest_sigma * max(factors), smallest_sigma * min(factors)]
        super().__init__(priors, gains, annealing, sigmas, limits)
        for prior in self.priors:
            if not prior.has_posterior_sample:
                raise InputError(f"posterior {self.kind!r} draws clean events, which prior {prior.kind!r} cannot")

    def run(
        self, mixture: tf.Tensor, sources: tf.Tensor, sigmas: tf.Tensor, seed: tf.Tensor, levels: tf.Tensor
    ) -> tf.Tensor:
        """Run all sweeps of each level; see :class:`Annealed`."""

        def anneal(level: tf.Tensor, sources: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return level + 1, self.walk(mixture, sources, sigmas[level], self.num_sweeps, fold(seed, level))[0]

        begin = (levels[0], sources)
        return tf.while_loop(lambda level, _: level < levels[1], anneal, begin, parallel_iterations=1)[1]

    def walk(
        self, mixture: Waves, sources: Sources, sigma: Sigma, num_steps: int, seed: tf.Tensor
    ) -> tuple[Sources, tf.Tensor]:
        """Sweep at one level: (chain, source, segment) -> the same, and the acceptance rate, which is 1, (chain,)."""
        factors = noise_factors(self.gains)

        def sweep(step: tf.Tensor, sources: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            seeds = split(fold(seed, step), 2)

            def update_source(k: int, target: tf.Tensor, position: tf.Tensor, chains: tf.Tensor) -> tf.Tensor:
                draw = fold(tf.gather(seeds[1], chains), position * self.num_sources + k)
                return self.priors[k].posterior_sample(target[..., tf.newaxis], factors[k] * sigma, draw)[..., 0]

            return step + 1, sweep_in_any_order(mixture, sources, self.gains, update_source, seeds[0])

        walk = tf.while_loop(lambda step, _: step < num_steps, sweep, (0, sources), parallel_iterations=1)
        return walk[1], tf.ones(tf.shape(sources)[:1])


def noise_factors(gains: Sequence[float]) -> tuple[float, ...]:
    """Return |a| / (sqrt(N) |a_k|), the noise on each source at level 1; one for equal gains."""
    root = math.sqrt(sum(gain**2 for gain in gains) / len(gains))
    return tuple(root / abs(gain) for gain in gains)
