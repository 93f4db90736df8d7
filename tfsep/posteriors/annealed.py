"""What samplers over waveforms share: chains that move through falling noise levels in one compiled loop.

A kind says how its chains begin (:meth:`Annealed.cold`) and how they move (:meth:`Annealed.run`). Chains, restarts and
mixtures lie side by side in the batch axis and do not know of each other.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfsep import mixing
from tfsep.errors import InputError
from tfsep.posteriors.base import Posterior, answers_each, denoise_each, events_of, wave_priors
from tfsep.posteriors.schedule import warm
from tfsep.priors.base import Prior
from tfsep.runtime import progress
from tfsep.runtime.graph_memory import bytes_held
from tfsep.runtime.random import is_portable, normal
from tfsep.runtime.xla import Programs


class Annealed(Posterior):
    """The priors, the gains, the schedule and the seeds of an annealed sampler.

    Args:
        priors: one per source, over waves.
        gains: mixing gains; None is the mean.
        sigmas: the noise schedule, falling: (level,) float32.
        limits: the extreme noise levels at which priors are asked, before rounding.
        start_sigma: noise level at which a warm start begins; None is the middle of the schedule.
        num_chains: chains averaged into one sample and projected again (a mean of K samples has (1 + 1/K) / 2 of the
            mean square error of one).
        stacked: evaluate priors of one architecture as one (:mod:`tfsep.priors.stacked`); others go one by one. None is
            what is faster: stacked where XLA compiles, one by one in plain graphs.
        jit_compile: compile calls by XLA; None decides by their work (:mod:`tfsep.runtime.xla`).
        largest_amplitude: what no clean source exceeds, so neither does its posterior mean: denoised sources are
            clipped to it, and scores are those of the clipped means, which keeps a blunt or a learned prior from
            running away where it has not been; None where the sources have no such bound.

    Attributes:
        divisible: whether levels can be run a few at a time, as chains carry nothing on but their sources.
        programs: the loop, as a plain graph and compiled.

    Raises:
        InputError: for priors that cannot serve, or settings out of range.
    """

    divisible = True

    def __init__(
        self,
        priors: Sequence[Prior] | None,
        gains: Sequence[float] | None,
        sigmas: np.ndarray,
        limits: Sequence[float],
        start_sigma: float | None,
        num_chains: int = 1,
        stacked: bool | None = None,
        jit_compile: bool | None = False,
        largest_amplitude: float | None = None,
    ) -> None:
        """Check what is given."""
        if num_chains < 1:
            raise InputError(f"num_chains must be at least 1, got {num_chains}")
        if largest_amplitude is not None and not largest_amplitude > 0.0:
            raise InputError(f"largest_amplitude must be above 0, got {largest_amplitude:g}")
        self.num_chains, self._stacked, self.largest_amplitude = num_chains, stacked, largest_amplitude
        self.sigmas, self.warm_sigmas = sigmas, warm(sigmas, start_sigma)
        self.priors = wave_priors(self.kind, priors, limits)
        self.num_sources, self.segment = len(self.priors), self.priors[0].event_shape[0]
        self.gains = mixing.gain_vector(self.num_sources, gains)
        self.programs = Programs(self._run, self.num_sources, self.segment, jit_compile)

    @abc.abstractmethod
    def run(
        self, mixture: tf.Tensor, sources: tf.Tensor, sigmas: tf.Tensor, seed: tf.Tensor, levels: tf.Tensor
    ) -> tf.Tensor:
        """Take chains through some levels: (chain, source, segment) -> the same, not yet projected.

        Args:
            mixture: (chain, segment).
            sources: where the chains are, at the beginning with the noise of the first level.
            sigmas: (level,), the whole schedule or, after a warm start, its end.
            seed: two int32.
            levels: two int32, the first level to run and the one at which to stop.
        """

    def enter(self, mixture: tf.Tensor, sources: tf.Tensor) -> tf.Tensor:
        """What is done to chains (chain, source, segment) before the first level; nothing by default."""
        del mixture
        return sources

    def finish(self, sources: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
        """What is done to chains (chain, source, segment) after the last level, ``sigma``; nothing by default."""
        del sigma
        return sources

    def _run(
        self, mixture: tf.Tensor, sources: tf.Tensor, sigmas: tf.Tensor, seed: tf.Tensor, levels: tf.Tensor
    ) -> tf.Tensor:
        """Some levels, and what comes after the last."""
        sources = self.run(mixture, sources, sigmas, seed, levels)
        if type(self).finish is Annealed.finish:
            return sources
        return tf.cond(levels[1] < tf.shape(sigmas)[0], lambda: sources, lambda: self.finish(sources, sigmas[-1]))

    def bounded(self, means: tf.Tensor) -> tf.Tensor:
        """Posterior means within the largest amplitude."""
        if self.largest_amplitude is None:
            return means
        return tf.clip_by_value(means, -self.largest_amplitude, self.largest_amplitude)

    def denoised(self, sources: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
        """Each source denoised by its own prior, within bounds: (chain, source, segment) -> the same."""
        return self.bounded(denoise_each(self.priors, sources, sigma, self.stacked))

    def scores(self, sources: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
        """Each source's score under its own prior, that of its mean within bounds: (chain, source, segment)."""
        score = answers_each(self.priors, "score", sources, sigma, self.stacked)
        if self.largest_amplitude is None:
            return score
        return (self.bounded(sources + sigma**2 * score) - sources) / sigma**2

    @property
    def stacked(self) -> bool:
        """Whether the graph being traced evaluates priors of one architecture as one."""
        return is_portable() if self._stacked is None else self._stacked

    def evaluations(self, num_levels: int) -> int:
        """How often a chain asks each prior on its way through so many levels."""
        return num_levels

    def chains_of(self, num_samples: int) -> int:
        """How many chains a mixture takes for so many samples."""
        return num_samples * self.num_chains

    def memory(self, num_samples: int) -> int:
        """That of the loop, all chains of a segment; see :class:`Posterior`."""
        return bytes_held(self.programs.plain(), self.chains_of(num_samples))

    def reports(self) -> bool:
        """Whether somebody listens to its levels; see :class:`Posterior`."""
        return self.divisible and progress.is_observed()

    def compiles(self, num_samples: int, batch: int, started: bool = False) -> bool:
        """Whether :meth:`sample` outside graphs is compiled by XLA; see :class:`Posterior`."""
        evaluations = self.evaluations(len(self.warm_sigmas if started else self.sigmas))
        return self.programs.compiles(evaluations, self.chains_of(num_samples) * batch)

    def cold(self, mixture: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """Where chains begin without a start, from standard normal noise: (chain, source, segment)."""
        return mixture[:, tf.newaxis] + self.sigmas[0] * noise

    def chains(self, mixture: Any, num: int, seed: Any, start: Any = None) -> tf.Tensor:
        """The ends of ``num`` chains for each mixture: (num, batch, source, segment), not yet projected."""
        mixture, seed = tf.convert_to_tensor(mixture, tf.float32), tf.cast(seed, tf.int32)
        mixtures = tf.tile(mixture, [num, 1])
        shape = tf.stack([tf.shape(mixtures)[0], self.num_sources, self.segment])
        noise = normal(shape, seed)
        if start is None:
            sources, sigmas = self.cold(mixtures, noise), self.sigmas
        else:
            sigmas = self.warm_sigmas
            start = check_start(self.kind, mixture, start, self.num_sources)
            sources = tf.tile(start, [num, 1, 1]) + sigmas[0] * noise
        sources, evaluations = self.enter(mixtures, sources), self.evaluations(len(sigmas))
        for levels in progress.parts(self.kind, len(sigmas)) if self.divisible else [(0, len(sigmas))]:
            sources = self.programs(evaluations, mixtures, sources, sigmas, seed, levels)
        return tf.reshape(sources, [num, -1, self.num_sources, self.segment])

    def sample(self, mixture: Any, num_samples: int, seed: Any, start: Any = None) -> tf.Tensor:
        """Run ``num_samples`` x ``num_chains`` chains; see :class:`Posterior`."""
        ends = self.chains(mixture, self.chains_of(num_samples), seed, start)
        shape = [num_samples, self.num_chains, -1, self.num_sources, self.segment]
        return mixing.project(mixture, tf.reduce_mean(tf.reshape(ends, shape), axis=1), self.gains)


def check_start(kind: str, mixture: tf.Tensor, start: Any, num_sources: int) -> tf.Tensor:
    """A start as float32 (batch, source, segment).

    Raises:
        InputError: if its shape is known to be another.
    """
    start = tf.convert_to_tensor(start)
    wanted = tf.TensorShape([mixture.shape[0], num_sources, mixture.shape[1]])
    if not start.shape.is_compatible_with(wanted):
        raise InputError(f"the start of {kind!r} must be (batch, source, segment) = {wanted}, got {start.shape}")
    return tf.ensure_shape(tf.cast(start, tf.float32), wanted)


def log_prob_of_all(priors: Sequence[Prior], sources: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    """Joint log-density of sources at noise level sigma in nats: (batch, source, time) -> (batch,)."""
    pairs = zip(priors, events_of(sources), strict=True)
    return tf.add_n([prior.log_prob(events, sigma) for prior, events in pairs])
