r"""Annealed full-residual updates: Gibbs (one source after the other) and Jacobi (all at once), with restarts.

The input of source k is its current value plus the whole residual
:math:`(m - \sum_j a_j s_j) / a_k`, treated as the source plus noise and denoised:

.. math:: s_k \leftarrow D_k\!\left(s_k + \frac{m - \sum_j a_j s_j}{a_k},\ \sigma\right).

At high noise a source that receives the *whole* residual can jump between modes, which joint
gradient steps cannot: they give every source 1/N of it. Jacobi moves all sources at once and only
part of the way (damping). Both find modes of the posterior; they do not sample it
(:mod:`tfsep.posteriors.stochastic_gibbs` does). Several starts run side by side in the batch axis,
each with its own order of sources, and for each mixture one is kept: the one whose sources leave
the smallest residual, or whose sources, projected on the mixture, are likeliest. A polish at low
noise sharpens the estimate.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfsep import mixing
from tfsep.axes import Seed, Sigma, Sources, TensorLike, Waves
from tfsep.errors import InputError
from tfsep.posteriors import gibbs_sweep
from tfsep.posteriors.annealed import Annealed, AnnealingSettings, log_prob_of_all
from tfsep.posteriors.base import needs_log_prob, residual_energy
from tfsep.posteriors.noise_schedule import geometric
from tfsep.posteriors.shared_graphs import SharedGraphs
from tfsep.priors.base import Prior
from tfsep.runtime.stateless_random import fold, is_portable

UPDATES = ("gibbs", "jacobi")
CHOICES = ("residual", "density")
BEGINNINGS = ("noise", "silence")


class Gibbs(Annealed):
    """Annealed Gibbs or Jacobi updates over waveforms, one compiled loop.

    Args:
        priors: one per source, over waves, with a denoiser.
        gains: mixing gains; None is the mean.
        annealing: the schedule, which is geometric with one sweep per level, and how priors are
            evaluated; None is the kind's defaults. ``stacked`` holds for Jacobi updates and
            compiled ones. ``jit_compile`` None decides by the work of a call, for Gibbs updates
            against it: compiled, chains update the sources in other orders
            (:mod:`tfsep.posteriors.gibbs_sweep`), so their draws differ. ``num_chains`` must be 1.
        update: "gibbs" or "jacobi".
        polish_sigma: last noise level of the polish, a second schedule from ``smallest_sigma`` down.
        polish_levels: number of noise levels of the polish; 0 for none.
        damping: share of the way a Jacobi update goes, in 0..1.
        num_restarts: independent starts per mixture.
        choice: of the restarts, "residual" or "density"; the latter needs priors with a
            log-density. (Training also accepts "validation" and replaces it by the one that is best
            on validation mixtures.)
        beginning: without a start, chains begin at "noise" of unit variance, or at "silence", so
            that the first input of each source is the whole mixture: for sources whose level is no part
            of their prior.

    Raises:
        InputError: for priors that cannot serve, or a setting out of its range.
    """

    kind = "gibbs"
    annealing_defaults = AnnealingSettings(largest_sigma=8.0, smallest_sigma=0.1, num_levels=20)
    annealing_fields = tuple(name for name in Annealed.annealing_fields if name != "num_chains")

    def __init__(
        self,
        priors: Sequence[Prior] | None,
        gains: Sequence[float] | None = None,
        annealing: AnnealingSettings | None = None,
        update: str = "gibbs",
        polish_sigma: float = 0.03,
        polish_levels: int = 0,
        damping: float = 0.5,
        num_restarts: int = 4,
        choice: str = "residual",
        beginning: str = "noise",
    ) -> None:
        """Check the settings."""
        choices = (("update", update, UPDATES), ("choice", choice, CHOICES), ("beginning", beginning, BEGINNINGS))
        for name, value, known in choices:
            if value not in known:
                raise InputError(f"{name} must be one of {', '.join(known)}, got {value!r}")
        if not 0.0 < damping <= 1.0 or num_restarts < 1 or polish_levels < 0:
            raise InputError(
                "damping must lie in 0..1, num_restarts be at least 1 and polish_levels at least 0, "
                f"got {damping:g}, {num_restarts} and {polish_levels}"
            )
        self.choice, self.beginning = choice, beginning
        self.update, self.damping, self.num_restarts = update, damping, num_restarts
        annealing = self.settings_or_defaults(annealing)
        largest_sigma, smallest_sigma = annealing.largest_sigma, annealing.smallest_sigma
        sigmas = geometric(largest_sigma, smallest_sigma, annealing.num_levels)
        if polish_levels:
            polish = geometric(smallest_sigma, polish_sigma, polish_levels + 1)[1:]
            sigmas = np.concatenate([sigmas, polish])
        limits = [largest_sigma, polish_sigma if polish_levels else smallest_sigma]
        if update == "gibbs" and annealing.jit_compile is None:
            annealing = dataclasses.replace(annealing, jit_compile=False)
        super().__init__(priors, gains, annealing, sigmas, limits)
        if choice == "density":
            needs_log_prob(self.kind, "the choice by density", self.priors, "choice 'residual'")

    def cold(self, mixture: Waves, noise: Sources) -> Sources:
        """Return standard normal noise, whose level denoisers are trained on, or silence.

        Args:
            mixture: (chain, segment), unused.
            noise: standard normal, (chain, source, segment), the shape of what comes out.
        """
        return noise if self.beginning == "noise" else tf.zeros_like(noise)

    def chains_of(self, num_samples: int, started: bool = False) -> int:
        """Return the number of restarts of all samples, each of them a chain."""
        del started
        return num_samples * self.num_restarts

    def sample(self, mixture: TensorLike, num_samples: int, seed: Seed, start: TensorLike | None = None) -> tf.Tensor:
        """Return the best of ``num_restarts`` starts, ``num_samples`` times over; see :class:`Posterior`."""
        ends = self.chains(mixture, self.chains_of(num_samples), seed, start)
        cost = residual_energy(mixture, ends, self.gains) if self.choice == "residual" else self._rarity(mixture, ends)
        cost = tf.reshape(cost, [num_samples, self.num_restarts, -1])
        shape = [num_samples, self.num_restarts, -1, self.num_sources, self.segment]
        ends = tf.transpose(tf.reshape(ends, shape), [0, 2, 1, 3, 4])
        kept = tf.gather(ends, tf.argmin(cost, axis=1), axis=2, batch_dims=2)
        return mixing.project(mixture, kept, self.gains)

    def _rarity(self, mixture: TensorLike, ends: tf.Tensor) -> tf.Tensor:
        """Return minus the joint log-density of the projected sources at the last level: (num, batch)."""
        projected = tf.reshape(mixing.project(mixture, ends, self.gains), [-1, self.num_sources, self.segment])
        log_prob = log_prob_of_all(self.priors, projected, tf.constant(self.sigmas[-1]))
        return -tf.reshape(log_prob, tf.shape(ends)[:2])

    def run(
        self, mixture: tf.Tensor, sources: tf.Tensor, sigmas: tf.Tensor, seed: tf.Tensor, levels: tf.Tensor
    ) -> tf.Tensor:
        """Run one sweep at each level; see :class:`Annealed`."""
        column = tf.constant(self.gains)[:, tf.newaxis]

        def jacobi(level: tf.Tensor, sources: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            target = sources + mixing.residual(mixture, sources, self.gains)[:, tf.newaxis, :] / column
            return level + 1, sources + self.damping * (self.denoised(target, sigmas[level]) - sources)

        shared = SharedGraphs(self.priors)

        def gibbs(level: tf.Tensor, sources: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return level + 1, denoising_sweep(self, shared, mixture, sources, sigmas[level], fold(seed, level))

        sweep = gibbs if self.update == "gibbs" else jacobi
        begin = (levels[0], sources)
        return tf.while_loop(lambda level, _: level < levels[1], sweep, begin, parallel_iterations=1)[1]


def denoising_sweep(
    sampler: Annealed, shared: SharedGraphs, mixture: Waves, sources: Sources, sigma: Sigma, seed: tf.Tensor
) -> Sources:
    """Update every source of each chain once, in random order, by denoising what the others leave unexplained.

    Args:
        sampler: whose priors, gains and bounds hold.
        shared: its priors' graphs.
        mixture: (chain, segment).
        sources: (chain, source, segment).
        sigma: the noise level, a scalar.
        seed: of the orders, (chain, 2) int32.

    Returns:
        (chain, source, segment).
    """
    if is_portable():
        update_all = functools.partial(sampler.denoised, sigma=sigma)
        return gibbs_sweep.sweep_in_groups(mixture, sources, sampler.gains, update_all, seed)

    def update_source(k: int, target: tf.Tensor, position: tf.Tensor, chains: tf.Tensor) -> tf.Tensor:
        del position, chains
        return sampler.bounded(shared(k, "denoise", target[..., tf.newaxis], sigma)[..., 0])

    return gibbs_sweep.sweep_in_any_order(mixture, sources, sampler.gains, update_source, seed)
