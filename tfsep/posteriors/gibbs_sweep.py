"""Gibbs sweeps: every chain updates every source once, one after the other in random order.

Chains with an order of their own (:func:`sweep_in_any_order`) evaluate each prior for a varying
number of chains in each step, which XLA does not support. Chains in N groups
(:func:`sweep_in_groups`) share a random order, each group beginning at another position of it, so
that each step updates every source in one group: all shapes are fixed, and priors of one
architecture can be evaluated as one. Every chain's order is uniform over all orders either way.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import tensorflow as tf

from tfsep import mixing
from tfsep.runtime.stateless_random import uniform


def sweep_in_any_order(
    mixture: tf.Tensor,
    sources: tf.Tensor,
    gains: Sequence[float],
    update_source: Callable[[int, tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor],
    seed: tf.Tensor,
) -> tf.Tensor:
    """Update every source once, each chain in a random order of its own.

    Args:
        mixture: (chain, time).
        sources: (chain, source, time).
        gains: a_1..a_N.
        update_source: (k, target, position, chains) -> new sources k of the chains in whose order k
            has this position, whose numbers are (some chains,); target is what the other sources of
            these chains leave unexplained, (m - sum_{j != k} a_j s_j) / a_k, (some chains, time).
        seed: of the orders, (chain, 2) int32.

    Returns:
        (chain, source, time).
    """
    num_chains, num_sources = tf.shape(sources)[0], len(gains)
    orders = tf.argsort(uniform([num_chains, num_sources], seed), axis=1)
    vector = tf.constant(gains)

    def step(position: tf.Tensor, sources: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        chosen = orders[:, position]
        rest = mixing.residual(mixture, sources, gains) / tf.gather(vector, chosen)[:, tf.newaxis]
        target = tf.gather(sources, chosen, batch_dims=1) + rest
        for k in range(num_sources):
            rows = tf.where(chosen == k)
            updated = functools.partial(_updated, sources, target, rows, k, position, update_source)
            # Operations of some networks refuse an empty batch.
            sources = tf.cond(tf.shape(rows)[0] > 0, updated, lambda same=sources: same)
        return position + 1, sources

    return tf.while_loop(lambda position, _: position < num_sources, step, (0, sources), parallel_iterations=1)[1]


def _updated(
    sources: tf.Tensor,
    target: tf.Tensor,
    rows: tf.Tensor,
    k: int,
    position: tf.Tensor,
    update_source: Callable[[int, tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor],
) -> tf.Tensor:
    """Return sources (chain, source, time) with source k of the chains ``rows``, (some chains, 1), updated."""
    new = update_source(k, tf.gather_nd(target, rows), position, rows[:, 0])
    return tf.tensor_scatter_nd_update(sources, tf.pad(rows, [[0, 0], [0, 1]], constant_values=k), new)


def sweep_in_groups(
    mixture: tf.Tensor,
    sources: tf.Tensor,
    gains: Sequence[float],
    update_all: Callable[[tf.Tensor], tf.Tensor],
    seed: tf.Tensor,
) -> tf.Tensor:
    """Update every source once, each group of chains in a rotation of one random order; all shapes must be known.

    Args:
        mixture: (chain, time).
        sources: (chain, source, time).
        gains: a_1..a_N.
        update_all: the targets of every source, in as many chains each, -> new sources, (row,
            source, time); row r of source k is of another chain than row r of the others. Where N
            does not divide the number of chains, some rows are copies of other chains, and their
            results are dropped.
        seed: of each chain, (chain, 2) int32; the order is that of the first, so chains depend on
            their neighbours here.

    Returns:
        (chain, source, time).
    """
    num_chains, num_sources, length = sources.shape
    rows = -(-num_chains // num_sources)
    positions = tf.range(rows * num_sources) % num_chains
    grouped = tf.reshape(tf.gather(sources, positions), [rows, num_sources, num_sources, length])
    mixtures = tf.reshape(tf.gather(mixture, positions), [rows, num_sources, length])
    order = tf.argsort(uniform([1, num_sources], seed[:1])[0])
    position_of, group, vector = tf.argsort(order), tf.range(num_sources), tf.constant(gains)

    def step(position: tf.Tensor, sources: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        chosen = tf.gather(order, (group + position) % num_sources)
        mine = tf.one_hot(chosen, num_sources, on_value=True, off_value=False)[..., tf.newaxis]
        rest = mixing.residual(mixtures, sources, gains) / tf.gather(vector, chosen)[:, tf.newaxis]
        target = tf.reduce_sum(tf.where(mine, sources, 0.0), axis=2) + rest
        results = update_all(tf.gather(target, (position_of - position) % num_sources, axis=1))
        return position + 1, tf.where(mine, tf.gather(results, chosen, axis=1)[:, :, tf.newaxis], sources)

    swept = tf.while_loop(lambda position, _: position < num_sources, step, (0, grouped), parallel_iterations=1)[1]
    return tf.reshape(swept, [-1, num_sources, length])[:num_chains]
