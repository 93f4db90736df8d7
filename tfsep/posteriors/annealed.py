"""Annealed samplers over waveforms: chains that move through falling noise levels in one compiled loop.

A kind says how its chains begin (:meth:`Annealed.cold`) and how they move (:meth:`Annealed.run`).
Chains, restarts and mixtures are independent entries of the batch axis.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np
import tensorflow as tf

from tfsep import mixing
from tfsep.axes import Nats, Seed, Sigma, Sources, TensorLike, Waves
from tfsep.errors import InputError
from tfsep.posteriors.base import Posterior, denoise_each, evaluate_each, events_of, wave_priors
from tfsep.posteriors.noise_schedule import warm
from tfsep.priors.base import Prior
from tfsep.runtime import progress
from tfsep.runtime.graph_memory import bytes_held
from tfsep.runtime.stateless_random import fold, is_portable, normal, seeds_of_draws, seeds_of_rows
from tfsep.runtime.xla import Programs


@dataclass(frozen=True)
class AnnealingSettings:
    """Settings of an annealed sampler: its noise levels, its chains, and how priors are evaluated.

    A kind's own defaults are its ``annealing_defaults``.

    Attributes:
        largest_sigma: first noise level of the schedule, in units of the priors' features.
        smallest_sigma: last noise level of the schedule, above 0 and at most ``largest_sigma``.
        num_levels: number of noise levels, at least 1.
        start_sigma: noise level at which a warm start begins; None is the middle of the schedule.
        num_chains: chains averaged into one sample and projected again, at least 1 (a mean of K
            samples has (1 + 1/K) / 2 of the mean square error of one).
        largest_amplitude: bound that no clean source exceeds, so neither does its posterior mean:
            denoised sources are clipped to it, and scores are those of the clipped means, which
            keeps a learned prior from diverging far from its training data; None for no bound.
        stacked: evaluate priors of one architecture as one (:mod:`tfsep.priors.stacked`); others
            are evaluated one by one. None is what is faster: stacked where XLA compiles, one by one
            in plain graphs.
        jit_compile: compile calls by XLA; None decides by their work (:mod:`tfsep.runtime.xla`).

    Raises:
        InputError: if ``num_chains`` is below 1, or ``largest_amplitude`` is not above 0; noise
            levels are checked by :mod:`tfsep.posteriors.noise_schedule` where they are used.
    """

    largest_sigma: float
    smallest_sigma: float
    num_levels: int
    start_sigma: float | None = None
    num_chains: int = 1
    largest_amplitude: float | None = None
    stacked: bool | None = None
    jit_compile: bool | None = None

    def __post_init__(self) -> None:
        """Check what does not depend on the kind."""
        if self.num_chains < 1:
            raise InputError(f"num_chains must be at least 1, got {self.num_chains}")
        if self.largest_amplitude is not None and not self.largest_amplitude > 0.0:
            raise InputError(f"largest_amplitude must be above 0, got {self.largest_amplitude:g}")


class Annealed(Posterior):
    """The priors, the gains, the schedule and the seeds of an annealed sampler.

    Args:
        priors: one per source, over waves.
        gains: mixing gains; None is the mean.
        annealing: settings of the schedule, of the chains and of the priors' evaluation.
        sigmas: the noise schedule, falling: (level,) float32.
        limits: the extreme noise levels at which priors are evaluated, before rounding.

    Attributes:
        annealing_defaults: the settings of a kind where none are given.
        annealing_fields: names of the settings that a kind uses; the others must be left at its
            defaults.
        divisible: whether levels can be run a few at a time, as chains carry nothing on but their
            sources.
        programs: the loop, as a plain graph and compiled.

    Raises:
        InputError: for priors that cannot serve, or settings out of range.
    """

    annealing_defaults: ClassVar[AnnealingSettings]
    annealing_fields: ClassVar[tuple[str, ...]] = tuple(field.name for field in fields(AnnealingSettings))
    divisible = True

    def __init__(
        self,
        priors: Sequence[Prior] | None,
        gains: Sequence[float] | None,
        annealing: AnnealingSettings,
        sigmas: np.ndarray,
        limits: Sequence[float],
    ) -> None:
        """Check the priors and the settings."""
        self.annealing = annealing
        self.sigmas, self.warm_sigmas = sigmas, warm(sigmas, annealing.start_sigma)
        self.priors = wave_priors(self.kind, priors, limits)
        self.num_sources, self.segment = len(self.priors), self.priors[0].event_shape[0]
        self.gains = mixing.gain_vector(self.num_sources, gains)
        self.programs = Programs(self._run, self.num_sources, self.segment, annealing.jit_compile)

    @classmethod
    def settings_or_defaults(cls, annealing: AnnealingSettings | None) -> AnnealingSettings:
        """Return the given settings, or the kind's defaults.

        Raises:
            InputError: if a setting that the kind does not use differs from its default.
        """
        if annealing is None:
            return cls.annealing_defaults
        for name in Annealed.annealing_fields:
            if name not in cls.annealing_fields and getattr(annealing, name) != getattr(cls.annealing_defaults, name):
                raise InputError(f"posterior {cls.kind!r} does not use {name}, got {getattr(annealing, name)!r}")
        return annealing

    @abc.abstractmethod
    def run(
        self, mixture: tf.Tensor, sources: tf.Tensor, sigmas: tf.Tensor, seed: tf.Tensor, levels: tf.Tensor
    ) -> tf.Tensor:
        """Take chains through some levels: (chain, source, segment) -> the same, not yet projected.

        Args:
            mixture: (chain, segment).
            sources: the state of the chains, at the beginning with the noise of the first level.
            sigmas: (level,), the whole schedule or, after a warm start, its end.
            seed: of each chain, (chain, 2) int32.
            levels: two int32, the first level to run and the one at which to stop.
        """

    def enter(self, mixture: Waves, sources: Sources) -> Sources:
        """Prepare chains (chain, source, segment) for the first level; by default they stay as they are."""
        del mixture
        return sources

    def finish(self, sources: Sources, sigma: Sigma) -> Sources:
        """Finish chains (chain, source, segment) after the last level, ``sigma``; by default they stay as they are."""
        del sigma
        return sources

    def _run(
        self, mixture: tf.Tensor, sources: tf.Tensor, sigmas: tf.Tensor, seed: tf.Tensor, levels: tf.Tensor
    ) -> tf.Tensor:
        """Run some levels, and finish the chains after the last."""
        sources = self.run(mixture, sources, sigmas, seed, levels)
        if type(self).finish is Annealed.finish:
            return sources
        return tf.cond(levels[1] < tf.shape(sigmas)[0], lambda: sources, lambda: self.finish(sources, sigmas[-1]))

    def bounded(self, means: Sources) -> Sources:
        """Clip posterior means to the largest amplitude."""
        bound = self.annealing.largest_amplitude
        return means if bound is None else tf.clip_by_value(means, -bound, bound)

    def denoised(self, sources: Sources, sigma: Sigma) -> Sources:
        """Denoise each source by its own prior, within bounds: (chain, source, segment) -> the same."""
        return self.bounded(denoise_each(self.priors, sources, sigma, self.stacked))

    def scores(self, sources: Sources, sigma: Sigma) -> Sources:
        """Return each source's score under its own prior, that of its mean within bounds: (chain, source, segment)."""
        score = evaluate_each(self.priors, "score", sources, sigma, self.stacked)
        if self.annealing.largest_amplitude is None:
            return score
        return (self.bounded(sources + sigma**2 * score) - sources) / sigma**2

    @property
    def stacked(self) -> bool:
        """Return whether the graph being traced evaluates priors of one architecture as one."""
        return is_portable() if self.annealing.stacked is None else self.annealing.stacked

    def evaluations(self, num_levels: int) -> int:
        """Return how often a chain evaluates each prior in so many levels."""
        return num_levels

    def chains_of(self, num_samples: int, started: bool = False) -> int:
        """Return the number of chains of a mixture for so many samples, from noise or ``started`` at an estimate."""
        del started
        return num_samples * self.annealing.num_chains

    def memory(self, num_samples: int) -> int:
        """Return that of the loop, all chains of a segment; see :class:`Posterior`."""
        return bytes_held(self.programs.plain(), self.chains_of(num_samples))

    def reports(self) -> bool:
        """Tell whether it reports its levels to an observer; see :class:`Posterior`."""
        return self.divisible and progress.is_observed()

    def compiles(self, num_samples: int, batch: int, started: bool = False) -> bool:
        """Tell whether :meth:`sample` is compiled by XLA outside graphs; see :class:`Posterior`."""
        evaluations = self.evaluations(len(self.warm_sigmas if started else self.sigmas))
        return self.programs.compiles(evaluations, self.chains_of(num_samples, started) * batch)

    def cold(self, mixture: Waves, noise: Sources) -> Sources:
        """Return where chains begin without a start, from standard normal noise: (chain, source, segment)."""
        return mixture[:, tf.newaxis] + self.sigmas[0] * noise

    def chains(self, mixture: TensorLike, num: int, seed: Seed, start: TensorLike | None = None) -> tf.Tensor:
        """Run ``num`` chains for each mixture; return their ends, (num, batch, source, segment), not projected."""
        mixture = check_mixture(self.kind, mixture, self.segment)
        seed = seeds_of_draws(seeds_of_rows(seed, tf.shape(mixture)[0]), num)
        mixtures = tf.tile(mixture, [num, 1])
        shape = tf.stack([tf.shape(mixtures)[0], self.num_sources, self.segment])
        noise = normal(shape, fold(seed, -1))
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

    def sample(self, mixture: TensorLike, num_samples: int, seed: Seed, start: TensorLike | None = None) -> tf.Tensor:
        """Run ``num_samples`` x ``num_chains`` chains; see :class:`Posterior`."""
        ends = self.chains(mixture, num_samples * self.annealing.num_chains, seed, start)
        shape = [num_samples, self.annealing.num_chains, -1, self.num_sources, self.segment]
        return mixing.project(mixture, tf.reduce_mean(tf.reshape(ends, shape), axis=1), self.gains)


def check_mixture(kind: str, mixture: TensorLike, segment: int) -> Waves:
    """Return mixtures as float32 (batch, segment).

    Raises:
        InputError: if their shape is known to be another.
    """
    mixture = tf.convert_to_tensor(mixture, tf.float32)
    if not mixture.shape.is_compatible_with([None, segment]):
        raise InputError(
            f"the mixture of {kind!r} must be (batch, segment) = (None, {segment}), the length of its priors' events, "
            f"got {mixture.shape}; tfsep.Separator takes recordings of any length"
        )
    return mixture


def check_start(kind: str, mixture: Waves, start: TensorLike, num_sources: int) -> Sources:
    """Return a start as float32 (batch, source, segment).

    Raises:
        InputError: if its shape is known to be another.
    """
    start = tf.convert_to_tensor(start)
    wanted = tf.TensorShape([mixture.shape[0], num_sources, mixture.shape[1]])
    if not start.shape.is_compatible_with(wanted):
        raise InputError(f"the start of {kind!r} must be (batch, source, segment) = {wanted}, got {start.shape}")
    return tf.ensure_shape(tf.cast(start, tf.float32), wanted)


def log_prob_of_all(priors: Sequence[Prior], sources: Sources, sigma: Sigma) -> Nats:
    """Return the joint log-density of sources at noise level sigma in nats: (batch, source, time) -> (batch,)."""
    pairs = zip(priors, events_of(sources), strict=True)
    return tf.add_n([prior.log_prob(events, sigma) for prior, events in pairs])
