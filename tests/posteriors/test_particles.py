"""Particles: sources go to the priors that fit them, the best particles take the place of the others."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.known_priors import CoinPrior
from tfsep import mixing, posteriors, priors
from tfsep.data import toy
from tfsep.errors import InputError
from tfsep.metrics.si_sdr import si_sdr
from tfsep.posteriors.particles import Particles
from tfsep.priors.base import Prior
from tfsep.runtime import stateless_random

SHORT = {"num_levels": 6, "block_levels": 2, "polish_levels": 2, "num_particles": 5}


def gaussians(num_sources: int) -> list[Any]:
    """Priors with means far apart, so that a source fits one of them only."""
    return [priors.build("gaussian", length=6, variances=0.1, mean=2.0 * k) for k in range(num_sources)]


def particles(each: Sequence[Prior], **settings: Any) -> Particles:
    sampler = posteriors.build("particles", each, **{**SHORT, **settings})
    assert isinstance(sampler, Particles)
    return sampler


def test_ideal_priors_separate_the_toy_mixtures(toy_priors: list[Prior]) -> None:
    mixture, sources = toy.mixtures(4, 512, seed=0)
    sampler = posteriors.build("particles", toy_priors, num_levels=8, polish_levels=0, num_particles=4)
    estimate = sampler.sample(mixture, 1, (1, 0))
    assert estimate.shape == (1, 4, 4, 512) and estimate.dtype == tf.float32
    np.testing.assert_allclose(mixing.mix(estimate), mixture[np.newaxis], atol=1e-6)
    assert np.mean(si_sdr(estimate[0].numpy(), sources) > 10.0) >= 0.75


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 0, 1)])
def test_sources_go_to_the_priors_that_fit_them(order: tuple[int, ...]) -> None:
    sampler = particles(gaussians(3))
    right = 2.0 * np.arange(3)[:, np.newaxis] + np.random.default_rng(0).normal(0.0, 0.1, (4, 3, 6))
    right = right.astype(np.float32)
    swapped = tf.constant(right[:, list(order)])
    found, density = sampler.reassigned(swapped, swapped)
    np.testing.assert_allclose(found, right, atol=1e-6)
    expected = sum(prior.log_prob(right[:, k, :, np.newaxis], 0.2) for k, prior in enumerate(sampler.priors))
    np.testing.assert_allclose(density, expected, rtol=1e-5)


def test_with_unequal_gains_contributions_are_exchanged_and_explain_the_mixture() -> None:
    """Against every permutation by hand; a swap of the sources themselves would change the mixture."""
    gains = (0.5, -1.0, 0.25)
    sampler = particles(gaussians(3), gains=gains)
    sources = np.random.default_rng(1).normal(1.0, 2.0, (5, 3, 6)).astype(np.float32)
    column = np.array(gains, np.float32)[:, np.newaxis]
    found, density = sampler.reassigned(tf.constant(sources), tf.constant(sources))
    np.testing.assert_allclose(mixing.mix(found, gains), mixing.mix(sources, gains), atol=1e-5)
    ways = [sources[:, list(order)] * column[list(order)] / column for order in itertools.permutations(range(3))]
    joint = np.stack(
        [
            sum(prior.log_prob(way[:, k, :, np.newaxis], 0.2).numpy() for k, prior in enumerate(sampler.priors))
            for way in ways
        ]
    )
    np.testing.assert_allclose(density, joint.max(axis=0), rtol=1e-4)
    np.testing.assert_allclose(found, np.stack(ways)[joint.argmax(axis=0), np.arange(5)], rtol=1e-5, atol=1e-5)
    assert len(set(joint.argmax(axis=0))) > 1


def test_equal_priors_leave_the_sources_where_they_are() -> None:
    sampler = particles([priors.build("gaussian", length=6, variances=1.0)] * 4)
    sources = tf.constant(np.random.default_rng(0).normal(size=(3, 4, 6)).astype(np.float32))
    np.testing.assert_allclose(sampler.reassigned(sources, sources)[0], sources, atol=1e-6)


@pytest.mark.parametrize(("num", "survivors", "kept"), [(6, 0.5, 3), (6, 1 / 3, 2), (5, 0.5, 3), (4, 1.0, 4)])
def test_the_best_particles_of_each_mixture_take_the_place_of_all(num: int, survivors: float, kept: int) -> None:
    sampler = particles(gaussians(2), num_particles=num, survivors=survivors)
    sources = np.random.default_rng(2).normal(1.0, 2.0, (num, 3, 2, 6)).astype(np.float32)
    mixture = np.random.default_rng(3).normal(size=(3, 6)).astype(np.float32)
    flat = tf.constant(sources.reshape(-1, 2, 6))
    chains = tf.constant(np.tile(mixture, (num, 1)))
    found = sampler.select(chains, flat).numpy().reshape(num, 3, 2, 6)
    projected = mixing.project(chains, flat)
    handed, density = sampler.reassigned(flat, projected)
    handed, density = handed.numpy().reshape(sources.shape), density.numpy().reshape(num, 3)
    for item in range(3):
        order = np.argsort(-density[:, item])[:kept]
        np.testing.assert_allclose(found[:, item], handed[np.resize(order, num), item], atol=1e-6)


def test_a_particle_without_a_finite_density_is_never_kept() -> None:
    sampler = particles(gaussians(2), num_particles=4, survivors=0.75)
    sources = np.random.default_rng(2).normal(1.0, 2.0, (4, 2, 6)).astype(np.float32)
    sources[0] = np.nan
    found = sampler.select(tf.zeros([4, 6]), tf.constant(sources)).numpy()
    assert np.isfinite(found).all()


def test_the_likeliest_particle_is_the_estimate() -> None:
    """Few levels and no selection, so that particles end apart."""
    sampler = particles(gaussians(2), num_levels=1, block_levels=9, polish_levels=0, survivors=1.0, reassign=False)
    mixture = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)
    seeds = stateless_random.seeds_of_draws(stateless_random.seeds_of_rows((3, 0), 3), 1)
    ends = mixing.project(mixture, sampler.chains(mixture, 5, seeds))
    density = sampler.density(tf.reshape(ends, [-1, 2, 6])).numpy().reshape(5, 3)
    assert np.ptp(density, axis=0).min() > 0.0
    expected = ends.numpy()[density.argmax(0), np.arange(3)]
    np.testing.assert_allclose(sampler.sample(mixture, 1, (3, 0))[0], expected, atol=1e-6)


def test_swapped_sources_are_mended_where_sweeps_alone_cannot() -> None:
    """A start with two sources exchanged, at a noise level too low for a sweep to move them."""
    each = gaussians(2)
    truth = np.array([[[0.0] * 6, [2.0] * 6]], np.float32)
    settings = {"largest_sigma": 0.02, "smallest_sigma": 0.02, "num_levels": 2, "polish_levels": 0}
    ends = [
        particles(each, **settings, reassign=reassign).sample(truth.mean(1), 1, (0, 0), start=truth[:, ::-1])[0]
        for reassign in (True, False)
    ]
    np.testing.assert_allclose(ends[0], truth, atol=0.2)
    assert np.abs(ends[1] - truth).max() > 0.5


def test_the_seed_decides_and_samples_are_groups_of_their_own() -> None:
    sampler = particles(gaussians(3), kick=1.0)
    mixture = np.random.default_rng(0).normal(size=(2, 6)).astype(np.float32)
    several = sampler.sample(mixture, 3, (5, 0)).numpy()
    assert several.shape == (3, 2, 3, 6)
    np.testing.assert_allclose(several.mean(2), np.broadcast_to(mixture, (3, 2, 6)), atol=1e-5)
    np.testing.assert_array_equal(several, sampler.sample(mixture, 3, tf.constant([5, 0])))
    assert not np.array_equal(several, sampler.sample(mixture, 3, (6, 0)))
    assert not np.array_equal(several[0], several[1])


@pytest.mark.parametrize("reassign", [True, False])
def test_compiled_particles_end_where_plain_ones_do(reassign: bool) -> None:
    """With Gaussian priors every order leads to the one mode, as closely as one noise level allows."""
    settings = {"largest_sigma": 0.5, "smallest_sigma": 0.499, "num_levels": 120, "block_levels": 10, "kick": 0.0}
    mixture = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)
    plain, compiled = (
        particles(gaussians(2), **settings, polish_levels=0, reassign=reassign, jit_compile=jit_compile).sample(
            mixture, 1, (1, 2)
        )
        for jit_compile in (False, True)
    )
    np.testing.assert_allclose(compiled, plain, atol=1e-3)


def test_a_polish_follows_the_schedule_cold_and_warm() -> None:
    sampler = particles(gaussians(2), num_levels=3, smallest_sigma=0.25, polish_levels=2, start_sigma=2.0)
    np.testing.assert_allclose(sampler.sigmas, [4.0, 1.0, 0.25, 0.2, 0.02], rtol=1e-6)
    np.testing.assert_allclose(sampler.warm_sigmas, [2.0, 1.0, 0.25, 0.2, 0.02], rtol=1e-6)


def test_each_copy_exchanges_another_pair_and_contributions_stay() -> None:
    """Three sources, three pairs; the kept particle stays, with unequal gains the mixture does too."""
    gains = (0.5, -1.0, 0.25)
    sampler = particles(gaussians(3), gains=gains, num_particles=4, survivors=0.25, exchange=True)
    sources = np.random.default_rng(0).normal(size=(4, 2, 3, 6)).astype(np.float32)
    found = sampler.exchanged(tf.constant(sources.reshape(-1, 3, 6))).numpy().reshape(sources.shape)
    column = np.array(gains, np.float32)[:, np.newaxis]
    for copy, order in enumerate([(0, 1, 2), (1, 0, 2), (2, 1, 0), (0, 2, 1)]):
        expected = sources[copy][:, list(order)] * column[list(order)] / column
        np.testing.assert_allclose(found[copy], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(mixing.mix(found, gains), mixing.mix(sources, gains), atol=1e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_exchanged_starts_find_what_sweeps_alone_cannot(jit_compile: bool) -> None:
    """Two sources exchanged, at a noise level too low for a sweep to move them, and no assignment by density."""
    settings = {"largest_sigma": 0.02, "smallest_sigma": 0.02, "num_levels": 2, "polish_levels": 0, "reassign": False}
    truth = np.array([[[0.0] * 6, [2.0] * 6]], np.float32)
    ends = [
        particles(
            gaussians(2), **settings, num_particles=2, survivors=0.5, exchange=exchange, jit_compile=jit_compile
        ).sample(truth.mean(1), 1, (0, 0), start=truth[:, ::-1])[0]
        for exchange in (True, False)
    ]
    np.testing.assert_allclose(ends[0], truth, atol=0.2)
    assert np.abs(ends[1] - truth).max() > 0.5


@pytest.mark.parametrize("in_graph", [False, True])
def test_a_finished_start_is_returned_as_it_is_and_the_others_are_searched(in_graph: bool) -> None:
    """Three mixtures, the second with its sources exchanged, so that denoising by the wrong priors leaves a rest."""
    truth = np.array([[[0.0] * 6, [2.0] * 6], [[0.0] * 6, [2.6] * 6], [[0.1] * 6, [2.0] * 6]], np.float32)
    start = truth.copy()
    start[1] = truth[1, ::-1]
    sampler = particles(gaussians(2), num_particles=2, exchange=True, finished_residual=1e-3)
    sample = tf.function(sampler.sample) if in_graph else sampler.sample
    mixture = truth.mean(1)
    found = sample(mixture, 2, tf.constant([0, 0]), start=tf.constant(start)).numpy()
    assert found.shape == (2, 3, 2, 6)
    np.testing.assert_allclose(found[:, [0, 2]], np.stack([truth[[0, 2]]] * 2), atol=1e-5)
    np.testing.assert_allclose(found[:, 1], np.stack([truth[1]] * 2), atol=0.4)
    np.testing.assert_allclose(found.mean(2), np.stack([mixture] * 2), atol=1e-5)
    nothing_left = sample(mixture, 2, tf.constant([0, 0]), start=tf.constant(truth * [[1.0], [1.0]])).numpy()
    np.testing.assert_allclose(nothing_left[:, [0, 2]], np.stack([truth[[0, 2]]] * 2), atol=1e-5)


def test_a_start_stays_where_nothing_likelier_is_found() -> None:
    """Every start counts as unfinished, and the likeliest sources that explain the mixture are the start."""
    sampler = particles(gaussians(2), finished_residual=1e-9)
    start = np.array([[[0.1] * 6, [2.1] * 6]], np.float32)
    np.testing.assert_allclose(sampler.sample(start.mean(1), 1, (0, 0), start=start)[0], start, atol=1e-5)


def test_it_is_a_stage_of_a_composition() -> None:
    """With a start that is right but for two sources, which are handed back."""
    each = gaussians(2)
    truth = np.array([[[0.0] * 6, [2.0] * 6]], np.float32)
    stages = [{"kind": "gibbs", "num_levels": 3}, {"kind": "particles", **SHORT}]
    composition = posteriors.build("composition", each, stages=stages)
    np.testing.assert_allclose(composition.sample(truth.mean(1), 1, (0, 0))[0], truth, atol=0.3)


def test_memory_grows_with_particles_and_bounds_what_densities_need() -> None:
    few, many = (particles(gaussians(3), num_particles=num) for num in (4, 8))
    assert few.memory(2) == 2 * few.memory(1) == pytest.approx(many.memory(1), rel=0.05)
    # The state of the chains, and a table of three sources under three priors for each.
    assert few.memory(1) > 4 * (3 * 6 + 3 * 3) * 4


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"num_particles": 0}, "num_particles and block_levels must be at least 1 .*, got 0, 2 and 2"),
        ({"block_levels": 0}, "must be at least 1 and polish_levels at least 0, got 5, 0 and 2"),
        ({"polish_levels": -1}, "polish_levels at least 0, got 5, 2 and -1"),
        ({"survivors": 0.0}, "survivors must lie above 0 up to 1 and kick be at least 0, got 0, 0.5"),
        ({"survivors": 1.5}, "survivors must lie above 0 up to 1 .* got 1.5, 0.5"),
        ({"kick": -1.0}, "kick be at least 0, got 0.5, -1"),
        ({"finished_residual": -0.1}, "finished_residual must be at least 0, got -0.1"),
        ({"renew_above": -0.1}, "renew_above must be at least 0, or None, got -0.1"),
        ({"num_levels": 0}, "at least one level, got .* 0 levels"),
        ({"polish_sigma": 0.3}, "0 < smallest <= largest .* got largest 0.2, smallest 0.3, 2 levels"),
        ({"test_sigma": 0.001}, "noise levels of 'particles' must lie in the 0.01..inf .*, got 0.001..4"),
        ({"start_sigma": 5.0}, "start_sigma must lie in the schedule's 0.05..4, got 5"),
        ({"num_chains": 3}, "posterior 'particles' has no parameter 'num_chains'"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], rule: str) -> None:
    with pytest.raises(InputError, match=rule) as refused:
        particles(gaussians(2), **settings)
    assert "\n" not in str(refused.value)


def test_priors_without_a_density_are_refused(coin_priors: Callable[..., list[CoinPrior]]) -> None:
    rule = "'particles': the choice among particles needs log-densities, and prior 'coin' has only a score; use post"
    with pytest.raises(InputError, match=rule):
        particles(coin_priors((1.0, 0.5), 4))


def test_more_sources_than_assignment_can_try_are_refused() -> None:
    rule = "tries every assignment of sources to priors, of at most 6 sources, got 7; set reassign to False"
    with pytest.raises(InputError, match=rule):
        particles(gaussians(7))
    assert particles(gaussians(7), reassign=False).num_sources == 7


def test_a_mixture_of_another_length_is_refused() -> None:
    rule = r"the mixture of 'particles' must be \(batch, segment\) = \(None, 6\), .*, got \(3, 8\); tfsep.Separator"
    with pytest.raises(InputError, match=rule):
        particles(gaussians(2)).sample(np.zeros((3, 8), np.float32), 1, (0, 0))
