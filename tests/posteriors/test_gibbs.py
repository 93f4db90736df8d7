"""Gibbs and Jacobi updates: with ideal priors they must separate, with coins they must find the only solution."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep import mixing, posteriors, priors
from tfsep.data import toy
from tfsep.errors import InputError
from tfsep.metrics.si_sdr import si_sdri
from tfsep.posteriors.annealed import AnnealingSettings
from tfsep.posteriors.base import Posterior
from tfsep.posteriors.gibbs import Gibbs
from tfsep.posteriors.gibbs_sweep import sweep_in_any_order, sweep_in_groups
from tfsep.posteriors.noise_schedule import geometric
from tfsep.priors.base import Prior
from tfsep.runtime import stateless_random

Priors = Callable[..., list[Prior]]
SETTINGS: dict[str, dict[str, Any]] = {
    "jacobi": {"update": "jacobi", "largest_sigma": 12.0, "num_levels": 20, "num_restarts": 2},
    "gibbs": {"update": "gibbs", "num_levels": 12, "num_restarts": 2},
}


@pytest.fixture(scope="module", params=SETTINGS)
def sampler(request: pytest.FixtureRequest, toy_priors: list[Prior]) -> Posterior:
    return posteriors.build("gibbs", toy_priors, **SETTINGS[request.param])


def test_ideal_priors_separate_the_toy_mixtures(sampler: Posterior) -> None:
    mixture, sources = toy.mixtures(8, 512, seed=0)
    estimate = sampler.sample(mixture, 1, (1, 0))
    assert estimate.shape == (1, 8, 4, 512) and estimate.dtype == tf.float32
    gained = si_sdri(estimate[0].numpy(), sources, mixture[:, np.newaxis])
    assert gained.mean() > 15.0
    np.testing.assert_allclose(mixing.mix(estimate), mixture[np.newaxis], atol=1e-6)


def test_the_seed_decides(sampler: Posterior) -> None:
    mixture, _ = toy.mixtures(4, 512, seed=1)
    several = sampler.sample(mixture, 2, (5, 0)).numpy()
    assert several.shape == (2, 4, 4, 512)
    np.testing.assert_allclose(several.mean(2), np.broadcast_to(mixture, (2, 4, 512)), atol=1e-6)
    np.testing.assert_array_equal(several, sampler.sample(mixture, 2, tf.constant([5, 0])))
    # All starts may well end at one mode, but not at the same bits.
    assert not np.array_equal(several, sampler.sample(mixture, 2, (6, 0)))
    assert not np.array_equal(several[0], several[1])


@pytest.mark.parametrize("update", ["gibbs", "jacobi"])
def test_a_sampler_runs_inside_a_graph(gaussian_priors: Priors, update: str) -> None:
    sampler = posteriors.build("gibbs", gaussian_priors(3, 6), update=update, num_levels=5)
    mixture = tf.constant(np.random.default_rng(0).normal(size=(2, 6)), tf.float32)
    inside = tf.function(lambda wave, seed: sampler.sample(wave, 2, seed))
    found = inside(mixture, tf.constant([5, 0]))
    np.testing.assert_allclose(found, sampler.sample(mixture, 2, (5, 0)), atol=1e-5)


def tossed(coins: list[Any]) -> np.ndarray:
    """Every way in which coins can fall: (2 ** N, N, time)."""
    signs = np.array(np.meshgrid(*[[-1, 1]] * len(coins))).reshape(len(coins), -1).T
    return np.repeat((signs * [coin.level for coin in coins])[..., np.newaxis], coins[0].dimensions, axis=-1)


@pytest.mark.parametrize(
    ("update", "levels", "gains"),
    [
        ("gibbs", (1.0, 1.0), (1.0, -0.3)),
        ("gibbs", (1.0, 0.3), (0.5, 0.5)),
        ("jacobi", (1.0, 1.0, 1.0), (1.0, 0.5, 0.25)),
        ("jacobi", (1.0, 1.0, 1.0), (0.5, -1.0, 0.25)),
        ("jacobi", (1.0, 0.5, 0.25), (1.0, 1.0, 1.0)),
    ],
)
def test_coins_are_separated_whatever_the_gains(
    coin_priors: Priors, update: str, levels: tuple[float, ...], gains: tuple[float, ...]
) -> None:
    coins = coin_priors(levels, 8)
    truth = tossed(coins)
    mixture = np.einsum("k,bkt->bt", gains, truth).astype(np.float32)
    settings = {"largest_sigma": 0.5, "num_levels": 12, "num_restarts": 64}
    sampler = posteriors.build("gibbs", coins, gains=gains, update=update, **settings)
    assert sampler.gains == gains
    np.testing.assert_allclose(sampler.sample(mixture, 1, (0, 0))[0], truth, atol=0.05)


def test_the_start_with_the_smallest_residual_is_kept(coin_priors: Priors) -> None:
    """One start is often stuck with coins that fall the wrong way; of many starts one mostly is not."""
    coins = coin_priors((1.0, 0.8, 0.6, 0.45), 8)
    truth = tossed(coins)
    mixture = truth.mean(1).astype(np.float32)
    wrong = []
    for num_restarts in (1, 32):
        settings = {"largest_sigma": 0.5, "num_levels": 12, "num_restarts": num_restarts}
        sampler = posteriors.build("gibbs", coins, update="jacobi", **settings)
        wrong.append(np.mean(np.abs(sampler.sample(mixture, 1, (0, 0))[0] - truth) > 0.1))
    assert wrong[0] > 0.4 and wrong[1] < 0.15


def test_the_likeliest_of_the_restarts_is_kept() -> None:
    """Jacobi's ends differ; of the projected ones the likeliest has a density at least that of any single start."""
    pair = [priors.build("gaussian", length=6, spectrum=spectrum) for spectrum in ([4, 1, 0.1, 0.1], [0.1, 1, 2, 1.0])]
    mixture = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)
    settings: dict[str, Any] = {"update": "jacobi", "num_levels": 2, "num_restarts": 6, "largest_sigma": 1.0}
    sampler = posteriors.build("gibbs", pair, choice="density", **settings)
    assert isinstance(sampler, Gibbs)
    ends = mixing.project(mixture, sampler.chains(mixture, 6, (3, 0))).numpy()
    density = sum(
        pair[k].log_prob(ends[:, :, k].reshape(18, 6, 1), float(sampler.sigmas[-1])).numpy().reshape(6, 3)
        for k in range(2)
    )
    expected = ends[density.argmax(0), np.arange(3)]
    np.testing.assert_allclose(sampler.sample(mixture, 1, (3, 0))[0], expected, atol=1e-5)


def test_every_chain_takes_the_sources_in_an_order_of_its_own() -> None:
    """Sources that store their position: each is updated once a sweep, in orders that differ between chains."""
    positions = sweep_in_any_order(
        tf.zeros([64, 2]),
        tf.zeros([64, 3, 2]),
        (1.0, 1.0, 1.0),
        lambda k, target, position, chains: tf.zeros_like(target) + tf.cast(position, tf.float32),
        tf.constant([0, 1]),
    ).numpy()[..., 0]
    np.testing.assert_array_equal(np.sort(positions, axis=1), np.tile([0, 1, 2], (64, 1)))
    assert len(np.unique(positions, axis=0)) == 6


@pytest.mark.parametrize("num_chains", [1, 3, 64])
def test_groups_of_chains_renew_every_source_once(num_chains: int) -> None:
    """Sources that become k + 1 times their targets, against the same by hand in every order."""
    gains, count = (0.5, 1.0, 2.0), [0]
    random = np.random.default_rng(0)
    mixture = random.normal(size=(num_chains, 4)).astype(np.float32)
    start = random.normal(size=(num_chains, 3, 4)).astype(np.float32)

    def update_all(target: tf.Tensor) -> tf.Tensor:
        count[0] += 1
        return target * tf.constant([1.0, 2.0, 3.0])[:, tf.newaxis]

    found = sweep_in_groups(tf.constant(mixture), tf.constant(start), gains, update_all, tf.constant([[5, 6]])).numpy()
    assert count == [3]
    orders = set()
    for chain in range(num_chains):
        ends = {}
        for order in itertools.permutations(range(3)):
            sources = start[chain].copy()
            for k in order:
                rest = mixture[chain] - sum(gains[j] * sources[j] for j in range(3) if j != k)
                sources[k] = (1.0 + k) * rest / gains[k]
            ends[order] = np.abs(sources - found[chain]).max()
        orders.add(min(ends, key=lambda order: ends[order]))
        assert min(ends.values()) < 1e-4
    assert len(orders) == min(num_chains, 3)


def test_compiled_gibbs_updates_end_where_plain_ones_do(gaussian_priors: Priors) -> None:
    """With Gaussian priors every order leads to the one mode, as closely as one noise level allows."""
    pair = gaussian_priors(2, 6)
    mixture = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)
    settings: dict[str, Any] = {"largest_sigma": 0.5, "smallest_sigma": 0.499, "num_levels": 200, "num_restarts": 2}
    plain, compiled = (
        posteriors.build("gibbs", pair, jit_compile=jit_compile, **settings).sample(mixture, 1, (1, 2))
        for jit_compile in (False, True)
    )
    np.testing.assert_allclose(compiled, plain, atol=1e-3)


def test_a_jacobi_sweep_is_its_formula(gaussian_priors: Priors) -> None:
    """One level with one start, against numpy."""
    gains, sigma, damping = (0.7, 0.4), 2.0, 0.3
    pair = gaussian_priors(2, 5)
    mixture = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    settings = {"largest_sigma": sigma, "smallest_sigma": sigma, "num_levels": 1, "damping": damping}
    sampler = posteriors.build("gibbs", pair, gains=gains, update="jacobi", num_restarts=1, **settings)
    seeds = stateless_random.seeds_of_draws(stateless_random.seeds_of_rows((4, 4), 3), 1)
    start = stateless_random.normal((3, 2, 5), stateless_random.fold(seeds, -1)).numpy()
    residual = mixture - np.einsum("k,bkt->bt", gains, start)
    moved = start.copy()
    for k, prior in enumerate(pair):
        target = start[:, k] + residual / gains[k]
        shrink = prior.covariance @ np.linalg.inv(prior.covariance + sigma**2 * np.eye(5))
        moved[:, k] += damping * (prior.mean + (target - prior.mean) @ shrink.T - start[:, k])
    expected = mixing.project(mixture, moved, gains)
    np.testing.assert_allclose(sampler.sample(mixture, 1, (4, 4))[0], expected, atol=2e-5)


@pytest.mark.parametrize("update", ["gibbs", "jacobi"])
def test_a_single_segment_and_a_single_start_are_taken(gaussian_priors: Priors, update: str) -> None:
    sampler = posteriors.build("gibbs", gaussian_priors(2, 5), update=update, num_levels=2, num_restarts=1)
    assert sampler.sample(np.ones((1, 5), np.float32), 1, (0, 0)).shape == (1, 1, 2, 5)


def test_from_silence_the_first_input_of_a_source_is_the_whole_mixture(gaussian_priors: Priors) -> None:
    built = gaussian_priors(2, 5)
    one_level = AnnealingSettings(largest_sigma=1.0, smallest_sigma=1.0, num_levels=1)
    posterior = Gibbs(built, None, one_level, update="jacobi", damping=1.0, num_restarts=1, beginning="silence")
    mixture = np.random.default_rng(2).normal(size=(3, posterior.segment)).astype(np.float32)
    target = posterior.num_sources * mixture[..., np.newaxis]
    found = posterior.chains(mixture, 1, (0, 0))[0]
    for k, prior in enumerate(built):
        np.testing.assert_allclose(found[:, k], prior.denoise(target, 1.0)[..., 0], rtol=1e-4, atol=1e-5)


def test_a_polish_follows_the_schedule(coin_priors: Priors) -> None:
    coins = coin_priors((1.0, 0.5), 4, smallest_sigma=0.01, largest_sigma=8.0)
    sampler = posteriors.build("gibbs", coins, num_levels=3, polish_levels=2, polish_sigma=0.025)
    assert isinstance(sampler, Gibbs)
    np.testing.assert_allclose(sampler.sigmas, [8.0, np.sqrt(0.8), 0.1, 0.05, 0.025], rtol=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        {"largest_sigma": 0.6},
        {"largest_sigma": 0.6, "smallest_sigma": 0.01},
        {"largest_sigma": 0.6, "smallest_sigma": 0.1, "polish_sigma": 0.01, "polish_levels": 3},
    ],
)
def test_the_ends_of_the_priors_range_are_within_it(coin_priors: Priors, settings: dict[str, float]) -> None:
    """Neither 0.6 nor 0.01 is a float32; rounding must not put them outside."""
    coins = coin_priors((1.0, 0.5), 4, smallest_sigma=0.01, largest_sigma=0.6)
    posteriors.build("gibbs", coins, **settings)


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"update": "both"}, "update must be one of gibbs, jacobi, got 'both'"),
        ({"choice": "luck"}, "choice must be one of residual, density, got 'luck'"),
        ({"choice": "density"}, "the choice by density needs log-densities, and prior 'coin' has only a score"),
        ({"start_sigma": 0.01}, "start_sigma must lie in the schedule's 0.1..8, got 0.01"),
        ({"damping": 0.0}, "damping must lie in 0..1, .* got 0, 4 and 0"),
        ({"damping": 1.5}, "damping must lie in 0..1, .* got 1.5, 4 and 0"),
        ({"num_restarts": 0}, "num_restarts be at least 1 .* got 0.5, 0 and 0"),
        ({"polish_levels": -1}, "polish_levels at least 0, got 0.5, 4 and -1"),
        ({"num_levels": 0}, "at least one level, got .* 0 levels"),
        ({"largest_sigma": 0.01}, "0 < smallest <= largest .* got largest 0.01, smallest 0.1, 20 levels"),
        ({"smallest_sigma": 0.001}, "must lie in the 0.01..8 that prior 'coin' supports, got 0.001..8"),
        ({"polish_levels": 1, "polish_sigma": 0.001}, "must lie in the 0.01..8 .* got 0.001..8"),
        ({"largest_sigma": 9.0}, "must lie in the 0.01..8 that prior 'coin' supports, got 0.1..9"),
        ({"gains": (1.0,)}, "posterior 'gibbs': one gain for each of the 2 sources is needed, got 1"),
        ({"num_chains": 3}, "posterior 'gibbs' has no parameter 'num_chains'"),
    ],
)
def test_settings_out_of_range_are_refused(coin_priors: Priors, settings: dict[str, Any], rule: str) -> None:
    coins = coin_priors((1.0, 0.5), 4, smallest_sigma=0.01, largest_sigma=8.0)
    with pytest.raises(InputError, match=rule) as refused:
        posteriors.build("gibbs", coins, **settings)
    assert "\n" not in str(refused.value)


def test_a_schedule_falls_in_equal_ratios() -> None:
    sigmas = geometric(8.0, 0.5, 5)
    assert sigmas.dtype == np.float32
    np.testing.assert_allclose(sigmas, [8, 4, 2, 1, 0.5], rtol=1e-6)
    np.testing.assert_allclose(geometric(0.3, 0.3, 1), [0.3], rtol=1e-6)
