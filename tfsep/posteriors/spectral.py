r"""Posteriors over magnitudes: chains over the features of priors whose domain has no phase, Wiener masks at the end.

A prior over log-magnitudes ("log_stft", "log_mel") cannot move a waveform, so its chains live in its
own features. With X(y) the magnitudes of features y in the bins of the domain and M those of the
mixture, a mixture is explained by

.. math:: M \approx P(y) = \sum_k g_k X(y_k), \qquad
          D_{KL}(M \| P) = \sum_b \Big(M_b \log \frac{M_b}{P_b} - M_b + P_b\Big),

the generalised Kullback-Leibler divergence, minus a Poisson log-likelihood of M but for a constant.
Magnitudes add up where one source dominates a bin. The weights g_k are the gains |a_k|. Where the
front end brings every waveform to one level, priors do not know how loud their source is, so the
weights are free and follow their maximum likelihood by the multiplicative update that never raises
the divergence,

.. math:: g_k \leftarrow g_k\, \frac{\sum_b X_b(y_k) M_b / P_b}{\sum_b X_b(y_k)}.

Of several restarts the one with the smallest divergence is kept. What its magnitudes say about each
bin of the linear spectrum (bands go back through the transposed filter bank) gives masks of exponent
p, 2 for the Wiener filter of sources with independent phases,

.. math:: a_k S_k = \frac{(g_k X_k)^p}{\sum_j (g_j X_j)^p}\, S_m,

with the mixture's phase. The masks sum to one, so the sources sum to the mixture.

Sources: Lee and Seung 2001 (the multiplicative update); Virtanen 2007 (additive magnitudes);
Liutkus and Badeau 2015 (masks of exponent p).
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import TypeAlias, cast

import numpy as np
import tensorflow as tf

from tfsep import mixing
from tfsep.audio.front_end import SpectralFrontEnd
from tfsep.axes import Seed, Sigma, Sources, TensorLike, Waves
from tfsep.errors import InputError
from tfsep.posteriors.annealed import AnnealingSettings, check_mixture, check_start
from tfsep.posteriors.base import Posterior
from tfsep.priors.base import Prior
from tfsep.runtime import progress
from tfsep.runtime.graph_memory import bytes_held
from tfsep.runtime.stateless_random import fold, is_portable, normal, seeds_of_draws, seeds_of_rows
from tfsep.runtime.xla import Programs

#: Features (chain, source, frame, bin), weights g (chain, source), and what a kind carries on besides.
State: TypeAlias = tuple[tf.Tensor, ...]

_TINY = 1e-12


class Spectral(Posterior):
    """The priors, the schedule, the chains and the masks of a posterior over magnitudes.

    Args:
        priors: one per source, over magnitudes, of one front end.
        gains: mixing gains; None is the mean.
        annealing: settings of the schedule and of the priors' evaluation.
        sigmas: the schedule, (level,) float32.
        warm_sigmas: its end, after a warm start.
        limits: the extreme noise levels at which priors are evaluated, before rounding.
        num_restarts: independent starts per mixture.
        mask_exponent: p above.
        num_moments: tensors of the features' shape that a kind carries on besides the features.

    Raises:
        InputError: for priors that cannot serve, or settings out of range.
    """

    def __init__(
        self,
        priors: Sequence[Prior] | None,
        gains: Sequence[float] | None,
        annealing: AnnealingSettings,
        sigmas: np.ndarray,
        warm_sigmas: np.ndarray,
        limits: Sequence[float],
        num_restarts: int,
        mask_exponent: float,
        num_moments: int = 0,
    ) -> None:
        """Check the priors and the settings."""
        if num_restarts < 1 or not 0.0 < mask_exponent < 10.0:
            given = f"{num_restarts} and {mask_exponent:g}"
            raise InputError(f"num_restarts must be at least 1 and mask_exponent within 0..10, got {given}")
        self.priors = magnitude_priors(self.kind, priors, limits)
        first = self.priors[0]
        self.front_end, self.segment = cast(SpectralFrontEnd, first.front_end), cast(int, first.length)
        self.num_sources, self.event_shape = len(self.priors), first.event_shape[:-1]
        self.gains = mixing.gain_vector(self.num_sources, gains)
        self.annealing, self.num_restarts, self.mask_exponent = annealing, num_restarts, mask_exponent
        self.sigmas, self.warm_sigmas = sigmas, warm_sigmas
        features = tf.TensorSpec([None, self.num_sources, *self.event_shape], tf.float32)
        weights = tf.TensorSpec([None, self.num_sources], tf.float32)
        state = (features, weights, *[features] * num_moments)
        self.programs = Programs(self._run, self.num_sources, self.segment, annealing.jit_compile, state)

    @abc.abstractmethod
    def begin(
        self, observed: tf.Tensor, noise: tf.Tensor, number: tf.Tensor, start: tf.Tensor | None, sigma: Sigma
    ) -> State:
        """Return where chains begin.

        Args:
            observed: features of the mixtures, (chain, frame, bin).
            noise: standard normal, (chain, source, frame, bin).
            number: of each chain among those of its mixture, from 0: (chain,).
            start: features of given sources, of that shape; None starts cold.
            sigma: the first noise level.
        """

    @abc.abstractmethod
    def run(self, observed: tf.Tensor, state: State, sigmas: tf.Tensor, seed: tf.Tensor, levels: tf.Tensor) -> State:
        """Take chains through some levels.

        Args:
            observed: features of the mixtures, (chain, frame, bin).
            state: of the chains.
            sigmas: (level,), the whole schedule or, after a warm start, its end.
            seed: of each chain, (chain, 2) int32.
            levels: two int32, the first level to run and the one at which to stop.
        """

    @abc.abstractmethod
    def clean(self, state: State, sigma: Sigma) -> tf.Tensor:
        """Return the clean features that chains stand for after the last level: (chain, source, frame, bin)."""

    def _run(self, mixture: tf.Tensor, state: State, sigmas: tf.Tensor, seed: tf.Tensor, levels: tf.Tensor) -> State:
        """Run some levels; after the last, the features of the state are the clean ones."""
        observed = self.observe(mixture)
        values, weights, *rest = self.run(observed, state, sigmas, seed, levels)
        last = levels[1] >= tf.shape(sigmas)[0]

        def clean() -> tf.Tensor:
            return self.bounded(self.clean((values, weights, *rest), sigmas[-1]), observed, weights)

        return (tf.cond(last, clean, lambda: values), weights, *rest)

    def observe(self, wave: Waves) -> tf.Tensor:
        """Return the features of waveforms, (batch, segment) -> (batch, frame, bin)."""
        return self.front_end.analyse(wave)[0][..., 0]

    def magnitudes(self, features: tf.Tensor) -> tf.Tensor:
        """Return the magnitudes of features, of their shape."""
        return self.front_end.to_magnitude(features[..., tf.newaxis])

    def first_weights(self, num: int | tf.Tensor) -> tf.Tensor:
        """Return the weights with which chains begin, (num, source): |a_k|, or those of sources of equal power."""
        each = [abs(gain) for gain in self.gains]
        if self.front_end.level is not None:
            each = [self.num_sources**-0.5] * self.num_sources
        return tf.tile(tf.constant([each], tf.float32), [num, 1])

    def updated_weights(self, observed: tf.Tensor, weights: tf.Tensor, magnitudes: tf.Tensor) -> tf.Tensor:
        """Return the weights after one multiplicative update, where they are free, else as they are.

        Args:
            observed: magnitudes of the mixtures, (chain, frame, bin).
            weights: (chain, source).
            magnitudes: of the sources, (chain, source, frame, bin).
        """
        if self.front_end.level is None:
            return weights
        ratio = observed / (explained(weights, magnitudes) + self.front_end.floor)
        matched = tf.reduce_sum(magnitudes * ratio[:, tf.newaxis], [2, 3])
        return weights * (matched + _TINY) / (tf.reduce_sum(magnitudes, [2, 3]) + _TINY)

    def bounded(self, features: tf.Tensor, observed: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """Clip features of sources to what a source may have in this mixture, from silence to its loudest bin."""
        loudest = tf.reduce_max(self.magnitudes(observed), [1, 2])[:, tf.newaxis] / weights
        top = self.front_end.to_features(loudest)
        return tf.clip_by_value(features, self.front_end.silence, top[..., tf.newaxis])

    @property
    def stacked(self) -> bool:
        """Return whether the graph being traced evaluates priors of one architecture as one."""
        return is_portable() if self.annealing.stacked is None else self.annealing.stacked

    @abc.abstractmethod
    def evaluations(self, num_levels: int) -> int:
        """Return how often a chain evaluates each prior in so many levels."""

    def chains_of(self, num_samples: int) -> int:
        """Return the number of chains of a mixture for so many samples."""
        return num_samples * self.num_restarts

    def memory(self, num_samples: int) -> int:
        """Return that of the loop, all chains of a segment; see :class:`Posterior`."""
        return bytes_held(self.programs.plain(), self.chains_of(num_samples))

    def reports(self) -> bool:
        """Tell whether it reports its levels to an observer; see :class:`Posterior`."""
        return progress.is_observed()

    def compiles(self, num_samples: int, batch: int, started: bool = False) -> bool:
        """Tell whether :meth:`sample` is compiled by XLA outside graphs; see :class:`Posterior`."""
        evaluations = self.evaluations(len(self.warm_sigmas if started else self.sigmas))
        return self.programs.compiles(evaluations, self.chains_of(num_samples) * batch)

    def sample(self, mixture: TensorLike, num_samples: int, seed: Seed, start: TensorLike | None = None) -> tf.Tensor:
        """Return the best of ``num_restarts`` starts, ``num_samples`` times over; see :class:`Posterior`."""
        mixture = check_mixture(self.kind, mixture, self.segment)
        num = self.chains_of(num_samples)
        weights, features = self.run_chains(mixture, num, seed, start)
        magnitudes = weights[..., tf.newaxis, tf.newaxis] * self.magnitudes(features)
        observed = tf.tile(self.magnitudes(self.observe(mixture)), [num, 1, 1])
        cost = divergence(observed, tf.reduce_sum(magnitudes, axis=1), self.front_end.floor)
        cost = tf.where(tf.math.is_finite(cost), cost, cost.dtype.max)
        best = tf.argmin(tf.reshape(cost, [num_samples, self.num_restarts, -1]), axis=1)
        shape = [num_samples, self.num_restarts, -1, self.num_sources, *self.event_shape]
        by_mixture = tf.transpose(tf.reshape(magnitudes, shape), [0, 2, 1, 3, 4, 5])
        return self.masked(mixture, tf.gather(by_mixture, best, axis=2, batch_dims=2))

    def run_chains(self, mixture: Waves, num: int, seed: Seed, start: TensorLike | None) -> tuple[tf.Tensor, tf.Tensor]:
        """Run ``num`` chains for each mixture, restart by restart.

        Returns:
            The weights (num x batch, source) and the clean features (num x batch, source, frame,
            bin).
        """
        mixtures = tf.tile(mixture, [num, 1])
        seed = seeds_of_draws(seeds_of_rows(seed, tf.shape(mixture)[0]), num)
        shape = tf.stack([tf.shape(mixtures)[0], self.num_sources, *self.event_shape])
        sigmas, begun = self.sigmas, None
        if start is not None:
            sigmas = self.warm_sigmas
            sources = check_start(self.kind, mixture, start, self.num_sources)
            begun = tf.reshape(self.observe(tf.reshape(sources, [-1, self.segment])), [-1, *shape[1:]])
            begun = tf.tile(begun, [num, 1, 1, 1])
        number = tf.repeat(tf.range(num), tf.shape(mixture)[0])
        state = self.begin(self.observe(mixtures), normal(shape, fold(seed, -1)), number, begun, sigmas[0])
        evaluations = self.evaluations(len(sigmas))
        for levels in progress.parts(self.kind, len(sigmas)):
            state = self.programs(evaluations, mixtures, state, sigmas, seed, levels)
        return state[1], state[0]

    def masked(self, mixture: Waves, magnitudes: tf.Tensor) -> Sources:
        """Return the masked mixture before gains.

        Args:
            mixture: (batch, segment).
            magnitudes: of the sources at the mixture's scale, (num, batch, source, frame, bin).

        Returns:
            (num, batch, source, segment), which sum to the mixture under the gains.
        """
        bins = self.front_end.to_bins(magnitudes)
        relative = tf.math.divide_no_nan(bins, tf.reduce_max(bins, axis=2, keepdims=True))
        shares = relative**self.mask_exponent + _TINY
        masks = shares / tf.reduce_sum(shares, axis=2, keepdims=True)
        spectrum = self.front_end.spectrum(mixture)[tf.newaxis, :, tf.newaxis]
        masked = tf.cast(masks, spectrum.dtype) * spectrum
        shape = tf.concat([tf.shape(masked)[:3], [self.segment]], axis=0)
        waves = self.front_end.waveform(tf.reshape(masked, [-1, *masked.shape[3:]]), self.segment)
        column = tf.constant(self.gains)[:, tf.newaxis]
        return mixing.project(mixture, tf.reshape(waves, shape) / column, self.gains)


def explained(weights: tf.Tensor, magnitudes: tf.Tensor) -> tf.Tensor:
    """Return P = sum_k g_k X_k: (chain, source), (chain, source, frame, bin) -> (chain, frame, bin)."""
    return tf.reduce_sum(weights[..., tf.newaxis, tf.newaxis] * magnitudes, axis=1)


def divergence(observed: tf.Tensor, found: tf.Tensor, floor: float) -> tf.Tensor:
    """Return the generalised Kullback-Leibler divergence, (chain,), of ``found`` from ``observed``.

    Args:
        observed: magnitudes, not negative, (chain, frame, bin).
        found: magnitudes of the same shape.
        floor: is added to both within the logarithm, above 0.
    """
    ratio = (observed + floor) / (found + floor)
    return tf.reduce_sum((observed + floor) * tf.math.log(ratio) - observed + found, axis=[1, 2])


def magnitude_priors(kind: str, priors: Sequence[Prior] | None, sigmas: Sequence[float]) -> list[Prior]:
    """Check that priors can serve a posterior over magnitudes that evaluates them at noise levels ``sigmas``.

    Raises:
        InputError: without priors, for a domain other than "log_stft" and "log_mel", for different
            front ends or events, for priors that do not know the length of their waveforms, or for
            noise levels outside a prior's range.
    """
    if not priors:
        raise InputError(f"posterior {kind!r} needs a prior for each source, and this model has none")
    first = priors[0]
    for prior in priors:
        if not isinstance(prior.front_end, SpectralFrontEnd):
            got = f"got {prior.kind!r} over {prior.domain!r}"
            raise InputError(
                f"posterior {kind!r} needs priors over magnitudes ('log_stft', 'log_mel'), {got}; use 'gibbs' or "
                "another sampler over waves"
            )
        if prior.front_end != first.front_end or prior.event_shape != first.event_shape or prior.length != first.length:
            raise InputError(f"priors of {kind!r} must share one front end and one length of events")
        if prior.length is None:
            raise InputError(f"posterior {kind!r} needs priors that were built with a length in samples")
        known = f"{prior.smallest_sigma:g}..{prior.largest_sigma:g}"
        if min(sigmas) < prior.smallest_sigma or max(sigmas) > prior.largest_sigma:
            raise InputError(
                f"noise levels of {kind!r} must lie in the {known} that prior {prior.kind!r} supports, "
                f"got {min(sigmas):g}..{max(sigmas):g}"
            )
    return list(priors)


def feature_events(features: tf.Tensor) -> list[tf.Tensor]:
    """Return each source's features as events: (chain, source, frame, bin) -> N of (chain, frame, bin, 1)."""
    return [each[..., tf.newaxis] for each in tf.unstack(features, axis=1)]
