r"""Particles: annealed Gibbs sweeps of many estimates side by side, reassigned and selected by their joint density.

R particles of each mixture, each an estimate of all N sources, go down the noise levels in blocks
of a few levels with one Gibbs sweep at each (:mod:`tfsep.posteriors.gibbs`). What a denoiser cannot
do, and a density can, follows each block. With :math:`\hat s` the particle projected on the mixture
and one fixed test level :math:`\sigma_t`, the same for all blocks so that densities compare,

1. **reassign**: sources are handed to the priors that fit them best,

   .. math:: \pi^* = \arg\max_\pi \sum_k \log p_{k, \sigma_t}\!\left(\frac{a_{\pi(k)}}{a_k} \hat s_{\pi(k)}\right),
             \qquad s_k \leftarrow \frac{a_{\pi(k)}}{a_k} s_{\pi(k)}.

   What is exchanged are contributions :math:`a_j s_j`, so every permutation explains the mixture as
   well as before, whatever the gains; the map has determinant one. With equal gains it permutes the
   sources. All N! permutations are tried; another than the present one must be likelier by one nat.
2. **resample**: of the particles of a mixture the share with the highest joint densities replaces
   all of them, the best first where it does not divide their number.
3. **kick**: the next block begins with noise of ``kick`` times its first level, so that copies part.
4. **exchange**, where asked for: in each copy of a kept particle, and in the copies of a start, two
   sources change places before the block begins, another pair in each copy. Every source of a wrong
   pair can be a sound of its class (a sine and a triangle with each other's pitches); then no
   permutation fits better at once, and the sweeps that follow must find the rest.

5. **renew**, where asked for: before selection, a particle that leaves more than a share of the
   mixture's energy unexplained is replaced by the best of those in which two of its sources are
   found anew, one beside the other (:mod:`tfsep.posteriors.pair_renewal`).

A polish, more sweeps without steps 1 to 5, sharpens the ends, and the particle whose projection has
the highest joint density is the estimate. This is sequential Monte Carlo in form, with weights that
are no importance ratios: it finds modes, and its draws are no sample of the posterior. Densities
compare particles of one mixture with each other and nothing else; that particles are better than
another posterior is for validation mixtures to say.

As a later stage, particles can leave alone what needs no search. A mixture keeps its start, and
costs one evaluation of each prior, where the denoised start leaves at most a share f of its energy,

.. math:: \lVert m - \sum_k a_k D_k(s_k, \sigma_t) \rVert^2 \le f\, \lVert m \rVert^2.

Source: Del Moral, Doucet and Jasra 2006 (sequential Monte Carlo), without its weights.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfsep import mixing
from tfsep.axes import Nats, Seed, Sources, TensorLike, Waves
from tfsep.errors import InputError
from tfsep.posteriors.annealed import Annealed, AnnealingSettings, check_mixture, check_start
from tfsep.posteriors.base import MOST_ASSIGNED, events_of, needs_log_prob, residual_energy
from tfsep.posteriors.gibbs import denoising_sweep
from tfsep.posteriors.noise_schedule import geometric, warm
from tfsep.posteriors.pair_renewal import PairRenewal
from tfsep.posteriors.shared_graphs import SharedGraphs
from tfsep.priors.base import Prior
from tfsep.runtime.stateless_random import fold, is_portable, normal, seeds_of_draws, seeds_of_rows, shape_of, split

#: Nats by which another assignment must be likelier than the one that stands; rounding makes less.
_MARGIN = 1.0
_IMPOSSIBLE = -1e30


class Particles(Annealed):
    """Annealed Gibbs sweeps of particles, one compiled loop.

    Args:
        priors: one per source, over waves, with a denoiser and a log-density.
        gains: mixing gains; None is the mean.
        annealing: the schedule, which is geometric with one sweep per level, and how priors are
            evaluated; None is the kind's defaults. ``num_chains`` must be 1. ``jit_compile`` None
            compiles nothing: compiled particles update their sources in other orders
            (:mod:`tfsep.posteriors.gibbs_sweep`), so their draws differ.
        num_particles: R, particles of a mixture, at least 1. Each sample has R of its own.
        block_levels: noise levels from one selection to the next, at least 1.
        survivors: share of the particles that selection keeps, above 0 and at most 1; 0.5 copies the
            better half, a third makes three of each, 1 keeps all.
        kick: noise at the beginning of a block, in multiples of its first level, at least 0.
        test_sigma: the noise level at which densities are compared, in units of amplitude.
        reassign: hand sources to the priors that fit them best; for at most 6 sources, as all N!
            assignments are tried.
        polish_from: first noise level of the polish.
        polish_sigma: last noise level of the polish.
        polish_levels: number of noise levels of the polish; 0 for none.
        exchange: begin each block with two sources exchanged in every copy of a particle; with
            ``num_particles`` 1 + N (N - 1) / 2 and one survivor, each pair once.
        renew_above: share of a mixture's energy, at least 0. After each block that other levels follow,
            two sources are found anew in a particle that leaves more unexplained. It needs priors
            with directions; None never does it.
        finished_residual: share of a mixture's energy, at least 0. A start whose denoised sources
            leave no more is returned as it is, projected on the mixture, and so is one than which
            nothing likelier is found. 0 searches for every mixture, and drops its start.

    Raises:
        InputError: for priors that cannot serve, more sources than can be reassigned, or a setting
            out of its range.
    """

    kind = "particles"
    annealing_defaults = AnnealingSettings(largest_sigma=4.0, smallest_sigma=0.05, num_levels=16)
    annealing_fields = tuple(name for name in Annealed.annealing_fields if name != "num_chains")

    def __init__(
        self,
        priors: Sequence[Prior] | None,
        gains: Sequence[float] | None = None,
        annealing: AnnealingSettings | None = None,
        num_particles: int = 16,
        block_levels: int = 4,
        survivors: float = 0.5,
        kick: float = 0.5,
        test_sigma: float = 0.2,
        reassign: bool = True,
        polish_from: float = 0.2,
        polish_sigma: float = 0.02,
        polish_levels: int = 6,
        exchange: bool = False,
        finished_residual: float = 0.0,
        renew_above: float | None = None,
    ) -> None:
        """Check the settings."""
        if num_particles < 1 or block_levels < 1 or polish_levels < 0:
            raise InputError(
                "num_particles and block_levels must be at least 1 and polish_levels at least 0, "
                f"got {num_particles}, {block_levels} and {polish_levels}"
            )
        if not 0.0 < survivors <= 1.0 or not kick >= 0.0:
            raise InputError(f"survivors must lie above 0 up to 1 and kick be at least 0, got {survivors:g}, {kick:g}")
        if not finished_residual >= 0.0:
            raise InputError(f"finished_residual must be at least 0, got {finished_residual:g}")
        if renew_above is not None and not renew_above >= 0.0:
            raise InputError(f"renew_above must be at least 0, or None, got {renew_above:g}")
        annealing = self.settings_or_defaults(annealing)
        if annealing.jit_compile is None:
            annealing = dataclasses.replace(annealing, jit_compile=False)
        main = geometric(annealing.largest_sigma, annealing.smallest_sigma, annealing.num_levels)
        polish = geometric(polish_from, polish_sigma, polish_levels) if polish_levels else np.zeros(0, np.float32)
        ends = [annealing.largest_sigma, annealing.smallest_sigma, test_sigma]
        limits = [*ends, polish_from, polish_sigma] if polish_levels else ends
        super().__init__(priors, gains, annealing, main, limits)
        self.sigmas, self.warm_sigmas = (
            np.concatenate([levels, polish]) for levels in (main, warm(main, annealing.start_sigma))
        )
        needs_log_prob(self.kind, "the choice among particles", self.priors, "posterior 'gibbs'")
        if reassign and self.num_sources > MOST_ASSIGNED:
            raise InputError(
                f"posterior {self.kind!r} tries every assignment of sources to priors, of at most {MOST_ASSIGNED} "
                f"sources, got {self.num_sources}; set reassign to False, or use posterior 'gibbs'"
            )
        self.num_particles, self.block_levels, self.reassign = num_particles, block_levels, reassign
        self.num_survivors = math.ceil(survivors * num_particles)
        self.kick, self.test_sigma, self.polish_levels = kick, test_sigma, polish_levels
        self.exchange, self.finished_residual = exchange, finished_residual
        self.renewal = None
        if renew_above is not None:
            self.renewal = PairRenewal(self.kind, self.priors, self.gains, renew_above, self.bounded)
        signature = [tf.TensorSpec([None, self.num_sources, self.segment], tf.float32)]
        self._density = tf.function(self.density, input_signature=signature, autograph=False)

    def cold(self, mixture: Waves, noise: Sources) -> Sources:
        """Return standard normal noise, whose level denoisers are trained on.

        Args:
            mixture: (chain, segment), unused.
            noise: standard normal, (chain, source, segment), the shape of what comes out.
        """
        return noise

    def chains_of(self, num_samples: int, started: bool = False) -> int:
        """Return the number of particles of all samples, each of them a chain."""
        del started
        return num_samples * self.num_particles

    def evaluations(self, num_levels: int) -> int:
        """One a level and, after each block, one for each source that a prior may get; see :class:`Annealed`."""
        blocks = -(-(num_levels - self.polish_levels) // self.block_levels)
        return num_levels + blocks * (self.num_sources if self.reassign else 1)

    def sample(self, mixture: TensorLike, num_samples: int, seed: Seed, start: TensorLike | None = None) -> tf.Tensor:
        """Return the best of ``num_particles`` particles, ``num_samples`` times over; see :class:`Posterior`."""
        mixture = check_mixture(self.kind, mixture, self.segment)
        seed = seeds_of_rows(seed, tf.shape(mixture)[0])
        if start is not None:
            start = check_start(self.kind, mixture, start, self.num_sources)
        if start is None or not self.finished_residual:
            return self._searched(mixture, num_samples, seed, start)[0]
        shared, test = SharedGraphs(self.priors), tf.constant(self.test_sigma)
        means = [shared(k, "denoise", events, test)[..., 0] for k, events in enumerate(events_of(start))]
        rest = residual_energy(mixture, self.bounded(tf.stack(means, axis=1)), self.gains)
        unfinished = rest > self.finished_residual * tf.reduce_mean(mixture**2, axis=-1)
        projected = mixing.project(mixture, start, self.gains)
        begun = tf.tile(projected[tf.newaxis], [num_samples, 1, 1, 1])
        if is_portable():  # Shapes must be known: all are searched, and some results dropped.
            found = self._likelier(begun, *self._searched(mixture, num_samples, seed, start))
            return tf.where(unfinished[:, tf.newaxis, tf.newaxis], found, begun)
        rows = tf.where(unfinished)

        def search() -> tf.Tensor:
            mine, first = tf.gather_nd(mixture, rows), tf.gather_nd(start, rows)
            found, density = self._searched(mine, num_samples, tf.gather_nd(seed, rows), first)
            found = self._likelier(tf.gather(begun, rows[:, 0], axis=1), found, density)
            by_mixture = tf.tensor_scatter_nd_update(
                tf.transpose(begun, [1, 0, 2, 3]), rows, tf.transpose(found, [1, 0, 2, 3])
            )
            return tf.transpose(by_mixture, [1, 0, 2, 3])

        return tf.cond(tf.shape(rows)[0] > 0, search, lambda: begun)

    def _likelier(self, begun: tf.Tensor, found: tf.Tensor, density: tf.Tensor) -> tf.Tensor:
        """Return the likelier of two estimates (num, batch, source, segment), of which one has density (num, batch)."""
        before = self._density(tf.reshape(begun, [-1, self.num_sources, self.segment]))
        better = density > tf.reshape(before, tf.shape(density))
        return tf.where(better[..., tf.newaxis, tf.newaxis], found, begun)

    def _searched(
        self, mixture: Waves, num_samples: int, seed: tf.Tensor, start: Sources | None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return what :meth:`sample` does where every mixture is searched, and log-densities (num, batch)."""
        mixtures = tf.tile(mixture, [num_samples, 1])
        if start is not None:
            start = tf.tile(start, [num_samples, 1, 1])
        ends = self.chains(mixtures, self.num_particles, seeds_of_draws(seed, num_samples), start)
        projected = mixing.project(mixtures, ends, self.gains)
        density = self._density(tf.reshape(projected, [-1, self.num_sources, self.segment]))
        density = tf.reshape(density, [self.num_particles, -1])
        best = tf.argmax(density)
        kept = tf.gather(tf.transpose(projected, [1, 0, 2, 3]), best, axis=1, batch_dims=1)
        sources = tf.reshape(kept, [num_samples, -1, self.num_sources, self.segment])
        return sources, tf.reshape(tf.reduce_max(density, axis=0), [num_samples, -1])

    def enter(self, mixture: Waves, sources: Sources) -> Sources:
        """Exchange sources of the copies of a start, where asked for; see :class:`Annealed`."""
        del mixture
        return self.exchanged(sources) if self.exchange else sources

    def run(
        self, mixture: tf.Tensor, sources: tf.Tensor, sigmas: tf.Tensor, seed: tf.Tensor, levels: tf.Tensor
    ) -> tf.Tensor:
        """Sweep at each level, and select after each block; see :class:`Annealed`."""
        last, shared = tf.shape(sigmas)[0] - self.polish_levels, SharedGraphs(self.priors)

        def anneal(level: tf.Tensor, sources: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            seeds = split(fold(seed, level), 2)
            begins = (level > 0) & (level < last) & (level % self.block_levels == 0)
            noise = self.kick * sigmas[level]

            def parted() -> tf.Tensor:
                copies = self.exchanged(sources) if self.exchange else sources
                return copies + noise * normal(shape_of(sources), seeds[0])

            begun = tf.cond(begins, parted, lambda: sources)
            swept = denoising_sweep(self, shared, mixture, begun, sigmas[level], seeds[1])
            ends = (level + 1 == last) | ((level < last) & ((level + 1) % self.block_levels == 0))
            return level + 1, tf.cond(ends, lambda: ended(level, swept), lambda: swept)

        def ended(level: tf.Tensor, swept: tf.Tensor) -> tf.Tensor:
            if self.renewal is not None:
                found = functools.partial(self.renewal, shared, mixture, swept, sigmas[level])
                swept = tf.cond(level + 1 < tf.shape(sigmas)[0], found, lambda: swept)
            return self.select(mixture, swept, shared)

        begin = (levels[0], sources)
        return tf.while_loop(lambda level, _: level < levels[1], anneal, begin, parallel_iterations=1)[1]

    def select(self, mixture: Waves, sources: Sources, shared: SharedGraphs | None = None) -> Sources:
        """Reassign the sources of each particle, and let the best particles of a mixture take the place of all.

        Args:
            mixture: (particle * batch, segment), the particles of a mixture ``batch`` entries apart.
            sources: (particle * batch, source, segment).
            shared: the priors' graphs; None makes them here.

        Returns:
            (particle * batch, source, segment), the best particles first.
        """
        if self.num_particles == 1 and not self.reassign:
            return sources
        projected = mixing.project(mixture, sources, self.gains)
        if self.reassign:
            sources, density = self.reassigned(sources, projected, shared)
        else:
            density = self.density(projected, shared)
        order = tf.argsort(tf.reshape(density, [self.num_particles, -1]), axis=0, direction="DESCENDING", stable=True)
        copied = tf.gather(order, tf.range(self.num_particles) % self.num_survivors)
        batch = tf.shape(copied)[1]
        return tf.gather(sources, tf.reshape(copied * batch + tf.range(batch), [-1]))

    def exchanged(self, sources: Sources) -> Sources:
        """Exchange the contributions of two sources in every copy of a kept particle, another pair in each.

        Args:
            sources: (particle * batch, source, segment), the kept particles first.

        Returns:
            The same, the kept particles as they were.
        """
        orders = np.tile(np.arange(self.num_sources, dtype=np.int32), (self.num_particles, 1))
        pairs = itertools.cycle(itertools.combinations(range(self.num_sources), 2))
        for copy, (one, other) in zip(range(self.num_survivors, self.num_particles), pairs, strict=False):
            orders[copy, [one, other]] = other, one
        gains = tf.constant(self.gains)[:, tf.newaxis]
        contributions = tf.reshape(sources * gains, [self.num_particles, -1, self.num_sources, self.segment])
        exchanged = tf.gather(contributions, tf.constant(orders), axis=2, batch_dims=1)
        return tf.reshape(exchanged, tf.shape(sources)) / gains

    def reassigned(
        self, sources: Sources, projected: Sources, shared: SharedGraphs | None = None
    ) -> tuple[Sources, Nats]:
        """Hand the sources of each particle to the priors that fit their projections best.

        Args:
            sources: (particle, source, segment).
            projected: the same, projected on the mixture.
            shared: the priors' graphs; None makes them here.

        Returns:
            Sources by prior, of the same shape, and the joint log-density of their projections in
            nats, (particle,).
        """
        count, gains, graphs = self.num_sources, tf.constant(self.gains), shared or SharedGraphs(self.priors)

        def weigh(j: tf.Tensor, table: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
            contribution = gains[j] * tf.gather(projected, j, axis=1)
            each = [
                graphs(k, "log_prob", (contribution / gain)[..., tf.newaxis], tf.constant(self.test_sigma))
                for k, gain in enumerate(self.gains)
            ]
            return j + 1, table.write(j, tf.stack(each, axis=-1))

        table = tf.TensorArray(tf.float32, count, element_shape=[projected.shape[0], count])
        table = tf.while_loop(lambda j, _: j < count, weigh, (0, table), parallel_iterations=1)[1]
        # One row for a particle, its entries (source, prior) one after the other.
        weights = tf.reshape(_finite(tf.transpose(table.stack(), [1, 0, 2])), [-1, count * count])
        ways = np.array(list(itertools.permutations(range(count))), np.int32)
        joint = tf.reduce_sum(tf.gather(weights, tf.constant(ways * count + np.arange(count)), axis=1), axis=-1)
        best = tf.argmax(joint + _MARGIN * tf.one_hot(0, len(ways)), axis=1, output_type=tf.int32)
        chosen = tf.gather(tf.constant(ways), best)
        contributions = tf.gather(sources * gains[:, tf.newaxis], chosen, axis=1, batch_dims=1)
        return contributions / gains[:, tf.newaxis], tf.gather(joint, best, axis=1, batch_dims=1)

    def density(self, sources: Sources, shared: SharedGraphs | None = None) -> Nats:
        """Return the joint log-density at the test level in nats: (particle, source, segment) -> (particle,)."""
        sigma, graphs = tf.constant(self.test_sigma), shared or SharedGraphs(self.priors)
        return tf.add_n([_finite(graphs(k, "log_prob", each, sigma)) for k, each in enumerate(events_of(sources))])


def _finite(density: Nats) -> Nats:
    """Return log-densities, a very small one in place of each that is not finite."""
    return tf.where(tf.math.is_finite(density), density, _IMPOSSIBLE)
