"""Diagnostics of mixing: acceptance rate, effective sample size and split R-hat, by TensorFlow Probability.

A trace is recorded after a sampler has run its schedule, at the last level, where all its chains
have one target distribution. Chains that stay in different modes have an R-hat well above 1.01,
however stationary each of them looks.

Sources: Gelman and Rubin 1992 with the chains split in halves (Gelman et al. 2013, chapter 11);
Geyer 2011 (effective sample size by the initial monotone sequence).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfsep.axes import Seed, Sources, TensorLike
from tfsep.errors import InputError
from tfsep.runtime.stateless_random import fold, seeds_of_draws, seeds_of_rows


class Walker(Protocol):
    """A sampler that can continue at one level: Langevin, StochasticGibbs."""

    num_sources: int
    segment: int
    sigmas: np.ndarray

    def chains(self, mixture: TensorLike, num: int, seed: Seed, start: TensorLike | None = None) -> tf.Tensor:
        """Run chains and return their ends: (num, batch, source, segment)."""

    def walk(
        self, mixture: tf.Tensor, sources: tf.Tensor, sigma: tf.Tensor, num_steps: int, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Continue at one noise level, for so many steps and without a last denoising.

        Args:
            mixture: (chain, segment).
            sources: (chain, source, segment), before gains.
            sigma: the level, a scalar.
            num_steps: how many.
            seed: of each chain, (chain, 2) int32.

        Returns:
            Sources, (chain, source, segment), and the acceptance rate, (chain,).
        """


@dataclass(frozen=True)
class Trace:
    """States of chains at the last level.

    Attributes:
        states: (draw, chain, batch, source, segment).
        acceptance: acceptance rate, (chain, batch); one for samplers without a Metropolis test.
    """

    states: tf.Tensor
    acceptance: tf.Tensor

    def effective_sample_size(self) -> Sources:
        """Return how many independent draws all chains together are worth: (batch, source, segment)."""
        return tfp.mcmc.effective_sample_size(self.states, cross_chain_dims=1, filter_beyond_positive_pairs=True)

    def split_r_hat(self) -> Sources:
        """Return the spread between half chains over that within them, 1 if they agree: (batch, source, segment)."""
        return tfp.mcmc.potential_scale_reduction(self.states, independent_chain_ndims=1, split_chains=True)


def trace(
    sampler: Walker,
    mixture: TensorLike,
    num_draws: int,
    num_chains: int,
    seed: Seed,
    start: TensorLike | None = None,
    thin: int = 1,
) -> Trace:
    """Anneal chains, then record them at the last level.

    Args:
        sampler: a sampler with ``walk``; a last Tweedie step of its own should be off, since chains
            continue from its end.
        mixture: (batch, segment).
        num_draws: states recorded of each chain, at least 4.
        num_chains: independent chains, at least 2.
        seed: two integers.
        start: sources at which to begin, (batch, source, segment), or None.
        thin: steps from one recorded state to the next.

    Raises:
        InputError: for too few draws or chains.
    """
    if num_draws < 4 or num_chains < 2 or thin < 1:
        raise InputError(
            "a trace needs num_draws of at least 4, num_chains of at least 2 and thin of at least 1, "
            f"got {num_draws}, {num_chains} and {thin}"
        )
    mixture, seed = tf.convert_to_tensor(mixture, tf.float32), tf.cast(seed, tf.int32)
    seeds = tf.random.split(seed, 2)
    walking = seeds_of_draws(seeds_of_rows(seeds[1], tf.shape(mixture)[0]), num_chains)
    begin = tf.reshape(sampler.chains(mixture, num_chains, seeds[0], start), [-1, sampler.num_sources, sampler.segment])
    mixtures, sigma = tf.tile(mixture, [num_chains, 1]), tf.constant(sampler.sigmas[-1])

    @tf.function(autograph=False)
    def record(begin: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        def draw(
            number: tf.Tensor, sources: tf.Tensor, accepted: tf.Tensor, states: tf.TensorArray
        ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.TensorArray]:
            sources, rate = sampler.walk(mixtures, sources, sigma, thin, fold(walking, number))
            return number + 1, sources, accepted + rate, states.write(number, sources)

        states = tf.TensorArray(tf.float32, num_draws, element_shape=begin.shape)
        none = tf.zeros(tf.shape(begin)[:1])
        walk = tf.while_loop(lambda number, *_: number < num_draws, draw, (0, begin, none, states))
        return walk[3].stack(), walk[2] / num_draws

    states, acceptance = record(begin)
    shape = [num_draws, num_chains, -1, sampler.num_sources, sampler.segment]
    return Trace(tf.reshape(states, shape), tf.reshape(acceptance, [num_chains, -1]))
