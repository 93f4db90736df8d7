r"""Annealed full-residual updates: Gibbs (one source after the other) and Jacobi (all at once), with restarts.

A source is offered everything the others do not explain, as if it were itself plus noise, and answers with its
denoised self:

.. math:: s_k \leftarrow D_k\!\left(s_k + \frac{m - \sum_j a_j s_j}{a_k},\ \sigma\right).

At high noise a source that sees the *whole* residual can jump between modes, which joint gradient steps cannot: they
hand every source 1/N of it. Jacobi moves all sources at once and only part of the way (damping). Both find modes of
the posterior; they do not sample it. Several starts run side by side in the batch axis, and for each mixture the one
whose sources leave the smallest residual is kept. A polish at low noise sharpens the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfsep import mixing
from tfsep.errors import InputError
from tfsep.posteriors.base import Posterior, check_start, compiled, denoise_each, residual_energy, wave_priors
from tfsep.posteriors.schedule import geometric, warm
from tfsep.priors.base import Prior

UPDATES = ("gibbs", "jacobi")


class Gibbs(Posterior):
    """Annealed Gibbs or Jacobi updates over waveforms, one compiled loop.

    Args:
        priors: one per source, over waves; a denoiser is all that is asked of them.
        gains: mixing gains; None is the mean.
        update: "gibbs" or "jacobi".
        largest_sigma, smallest_sigma, num_levels: the geometric noise schedule, one sweep per level.
        polish_sigma, polish_levels: a second schedule from ``smallest_sigma`` down; 0 levels for none.
        damping: share of the way a Jacobi update goes, in 0..1.
        num_restarts: independent starts per mixture.
        start_sigma: noise level at which a warm start begins; None is the middle of the schedule.
        largest_amplitude: what no clean source exceeds, so neither does its posterior mean: denoised sources are
            clipped to it, which keeps a blunt prior from running away; None where the sources have no such bound.
    """

    kind = "gibbs"

    def __init__(
        self,
        priors: Sequence[Prior] | None,
        gains: Sequence[float] | None = None,
        update: str = "gibbs",
        largest_sigma: float = 8.0,
        smallest_sigma: float = 0.1,
        num_levels: int = 20,
        polish_sigma: float = 0.03,
        polish_levels: int = 0,
        damping: float = 0.5,
        num_restarts: int = 4,
        start_sigma: float | None = None,
        largest_amplitude: float | None = None,
    ) -> None:
        """Check the settings."""
        if update not in UPDATES:
            raise InputError(f"update must be one of {', '.join(UPDATES)}, got {update!r}")
        if not 0.0 < damping <= 1.0 or num_restarts < 1 or polish_levels < 0:
            raise InputError(
                "damping must lie in 0..1, num_restarts be at least 1 and polish_levels at least 0, "
                f"got {damping:g}, {num_restarts} and {polish_levels}"
            )
        if largest_amplitude is not None and not largest_amplitude > 0.0:
            raise InputError(f"largest_amplitude must be above 0, got {largest_amplitude:g}")
        self.largest_amplitude = largest_amplitude
        self.update, self.damping, self.num_restarts = update, damping, num_restarts
        self.sigmas = geometric(largest_sigma, smallest_sigma, num_levels)
        if polish_levels:
            polish = geometric(smallest_sigma, polish_sigma, polish_levels + 1)[1:]
            self.sigmas = np.concatenate([self.sigmas, polish])
        self.warm_sigmas = warm(self.sigmas, start_sigma)
        self.priors = wave_priors(self.kind, priors, [largest_sigma, polish_sigma if polish_levels else smallest_sigma])
        self.num_sources, self.segment = len(self.priors), self.priors[0].event_shape[0]
        self.gains = mixing.gain_vector(self.num_sources, gains)
        self._compiled = compiled(self._run, self.num_sources, self.segment)

    def sample(self, mixture: Any, num_samples: int, seed: Any, start: Any = None) -> tf.Tensor:
        """The best of ``num_restarts`` starts, ``num_samples`` times over; see :class:`Posterior`."""
        mixture, seed = tf.convert_to_tensor(mixture, tf.float32), tf.cast(seed, tf.int32)
        starts = num_samples * self.num_restarts
        shape = tf.stack([starts * tf.shape(mixture)[0], self.num_sources, self.segment])
        sources, sigmas = tf.random.stateless_normal(shape, seed, alg="philox"), self.sigmas
        if start is not None:
            sigmas = self.warm_sigmas
            start = check_start(self.kind, mixture, start, self.num_sources)
            sources = tf.tile(start, [starts, 1, 1]) + sigmas[0] * sources
        sources = self._compiled(tf.tile(mixture, [starts, 1]), sources, sigmas, seed)
        sources = tf.reshape(sources, [num_samples, self.num_restarts, -1, self.num_sources, self.segment])
        best = tf.argmin(residual_energy(mixture, sources, self.gains), axis=1)
        kept = tf.gather(tf.transpose(sources, [0, 2, 1, 3, 4]), best, axis=2, batch_dims=2)
        return mixing.project(mixture, kept, self.gains)

    def _run(self, mixture: tf.Tensor, sources: tf.Tensor, sigmas: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """One sweep at each level: (batch, source, time) -> the same."""
        column = tf.constant(self.gains)[:, tf.newaxis]

        def jacobi(level: tf.Tensor, sources: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            offered = sources + mixing.residual(mixture, sources, self.gains)[:, tf.newaxis, :] / column
            answer = self._bounded(denoise_each(self.priors, offered, sigmas[level]))
            return level + 1, sources + self.damping * (answer - sources)

        def gibbs(level: tf.Tensor, sources: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            order = tf.argsort(tf.random.stateless_uniform([self.num_sources], seed + level, alg="philox"))

            def renew(place: tf.Tensor, sources: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                return place + 1, self._renew(mixture, sources, order[place], sigmas[level])

            each = tf.while_loop(lambda place, _: place < self.num_sources, renew, (0, sources), parallel_iterations=1)
            return level + 1, each[1]

        sweep = gibbs if self.update == "gibbs" else jacobi
        total = tf.shape(sigmas)[0]
        return tf.while_loop(lambda level, _: level < total, sweep, (0, sources), parallel_iterations=1)[1]

    def _renew(self, mixture: tf.Tensor, sources: tf.Tensor, chosen: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
        """One Gibbs update, of the source with index ``chosen``."""
        residual = mixing.residual(mixture, sources, self.gains)

        def answer(k: int) -> tf.Tensor:
            offered = sources[:, k] + residual / self.gains[k]
            return self._bounded(self.priors[k].denoise(offered[..., tf.newaxis], sigma)[..., 0])

        branches = [lambda k=k: answer(k) for k in range(self.num_sources)]
        renewed = tf.switch_case(chosen, branches)
        here = tf.equal(tf.range(self.num_sources), chosen)[:, tf.newaxis]
        return tf.where(here, renewed[:, tf.newaxis, :], sources)

    def _bounded(self, sources: tf.Tensor) -> tf.Tensor:
        if self.largest_amplitude is None:
            return sources
        return tf.clip_by_value(sources, -self.largest_amplitude, self.largest_amplitude)
