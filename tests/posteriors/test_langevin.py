"""Langevin dynamics: the exact posterior of Gaussians in the long run, and settings that would blow up refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep import mixing, posteriors
from tfsep.data import toy
from tfsep.data.oscillators import KINDS
from tfsep.errors import InputError
from tfsep.metrics.si_sdr import si_sdri
from tfsep.posteriors.langevin import Langevin
from tfsep.priors.base import Prior

Priors = Callable[..., list[Any]]
TIME, SIGMA = 3, 0.5
LONG: dict[str, Any] = {"largest_sigma": 2.0, "smallest_sigma": SIGMA, "num_levels": 3, "num_steps": 200, "delta": 0.02}


def exact_posterior(
    pair: list[Any], mixture: np.ndarray, gains: tuple[float, float], gamma: float
) -> tuple[np.ndarray, np.ndarray]:
    """Mean (2 time,) and covariance of the noised sources given a mixture (time,); gamma 0 is the exact constraint."""
    mean = np.concatenate([prior.mean for prior in pair])
    covariance = np.zeros((2 * TIME, 2 * TIME))
    for k, prior in enumerate(pair):
        part = slice(k * TIME, (k + 1) * TIME)
        covariance[part, part] = prior.covariance + SIGMA**2 * np.eye(TIME)
    mixer = np.kron(np.array(gains), np.eye(TIME))
    gain = covariance @ mixer.T @ np.linalg.inv(mixer @ covariance @ mixer.T + gamma**2 * np.eye(TIME))
    return mean + gain @ (mixture - mixer @ mean), covariance - gain @ mixer @ covariance


def finished(
    pair: list[Any],
    mixture: np.ndarray,
    gains: tuple[float, float],
    mean: np.ndarray,
    covariance: np.ndarray,
    denoise: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance after the last step, Tweedie's where asked for, and the projection; both are affine."""
    map_, shift = np.eye(2 * TIME), np.zeros(2 * TIME)
    if denoise:
        for k, prior in enumerate(pair):
            part = slice(k * TIME, (k + 1) * TIME)
            map_[part, part] = prior.covariance @ np.linalg.inv(prior.covariance + SIGMA**2 * np.eye(TIME))
            shift[part] = prior.mean - map_[part, part] @ prior.mean
    mixer = np.kron(np.array(gains), np.eye(TIME))
    back = mixer.T / sum(gain**2 for gain in gains)
    keep = np.eye(2 * TIME) - back @ mixer
    return keep @ (map_ @ mean + shift) + back @ mixture, keep @ map_ @ covariance @ map_.T @ keep.T


@pytest.mark.parametrize("denoise", [False, True])
@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("gains", [(0.5, 0.5), (1.0, -0.4)])
def test_the_long_run_is_the_exact_posterior(
    gaussian_priors: Priors, gains: tuple[float, float], exact: bool, denoise: bool
) -> None:
    pair = gaussian_priors(2, TIME)
    mixture = np.array([[1.0, -2.0, 0.5]], np.float32)
    settings = {"gains": gains, "exact": exact, "final_denoise": denoise, "likelihood_ratio": 0.7}
    sampler = posteriors.build("langevin", pair, **LONG, **settings)
    drawn = sampler.sample(mixture, 4000, (0, 0)).numpy().reshape(4000, 2 * TIME)
    posterior = exact_posterior(pair, mixture[0], gains, 0.0 if exact else 0.7 * SIGMA)
    mean, covariance = finished(pair, mixture[0], gains, *posterior, denoise)
    prior_mean = np.concatenate([prior.mean for prior in pair])
    assert np.linalg.norm(drawn.mean(0) - mean) < 0.1 * np.linalg.norm(mean - prior_mean)
    assert np.linalg.norm(np.cov(drawn.T) - covariance) < 0.1 * np.linalg.norm(covariance)


@pytest.mark.parametrize(
    "settings", [{}, {"exact": False}, {"consistent": False}, {"final_denoise": False}, {"gains": (1.0, 0.3)}]
)
def test_draws_explain_the_mixture(gaussian_priors: Priors, settings: dict[str, Any]) -> None:
    mixture = np.random.default_rng(0).normal(size=(4, TIME)).astype(np.float32)
    sampler = posteriors.build("langevin", gaussian_priors(2, TIME), **{**LONG, "num_steps": 5}, **settings)
    drawn = sampler.sample(mixture, 3, (0, 0))
    assert drawn.shape == (3, 4, 2, TIME) and drawn.dtype == tf.float32
    np.testing.assert_allclose(mixing.mix(drawn, sampler.gains), np.broadcast_to(mixture, (3, 4, TIME)), atol=2e-6)


def test_the_seed_decides(gaussian_priors: Priors) -> None:
    mixture = np.ones((2, TIME), np.float32)
    sampler = posteriors.build("langevin", gaussian_priors(2, TIME), **{**LONG, "num_steps": 5})
    first = sampler.sample(mixture, 2, (3, 1)).numpy()
    np.testing.assert_array_equal(first, sampler.sample(mixture, 2, tf.constant([3, 1])))
    inside = tf.function(lambda wave, seed: sampler.sample(wave, 2, seed))
    np.testing.assert_allclose(inside(tf.constant(mixture), tf.constant([3, 1])), first, atol=1e-5)
    for seed in ((3, 2), (4, 1)):
        assert np.abs(first - sampler.sample(mixture, 2, seed)).min() > 1e-4
    assert np.abs(first[0] - first[1]).min() > 1e-4 and np.abs(first[:, 0] - first[:, 1]).min() > 1e-4


def test_the_mean_of_k_chains_varies_k_times_less(gaussian_priors: Priors) -> None:
    mixture = np.ones((1, TIME), np.float32)
    variance = []
    for num_chains in (1, 4):
        sampler = posteriors.build("langevin", gaussian_priors(2, TIME), num_chains=num_chains, **LONG)
        variance.append(np.var(sampler.sample(mixture, 1000, (0, 0)), axis=0).sum())
    assert variance[0] / variance[1] == pytest.approx(4.0, rel=0.15)


def test_stability_is_its_formula_and_the_same_at_every_level(gaussian_priors: Priors) -> None:
    pair, gains = gaussian_priors(2, TIME), (0.6, 0.3)
    settings = {"smallest_sigma": 0.1, "delta": 0.003, "gains": gains, "likelihood_ratio": 0.5}
    sampler = posteriors.build("langevin", pair, exact=False, **settings)
    assert isinstance(sampler, Langevin)
    for sigma in sampler.sigmas.astype(float):
        eta = 0.003 * sigma**2 / 0.1**2
        expected = eta * (1 / sigma**2 + (0.36 + 0.09) / (0.5 * sigma) ** 2)
        assert sampler.stability() == pytest.approx(expected, rel=1e-5)
    constrained = posteriors.build("langevin", pair, **settings)
    assert isinstance(constrained, Langevin) and constrained.stability() == pytest.approx(0.3)


def test_preconditioning_cancels_the_likelihoods_share(gaussian_priors: Priors) -> None:
    pair = gaussian_priors(2, TIME)
    soft = {"exact": False, "likelihood_ratio": 0.05}
    settings = {"smallest_sigma": 0.1, "delta": 0.003, "gains": (0.6, 0.3), **soft}
    sampler = posteriors.build("langevin", pair, preconditioned=True, **settings)
    assert isinstance(sampler, Langevin) and sampler.stability() == pytest.approx(0.3)
    with pytest.raises(InputError, match="got 54.3 from"):
        posteriors.build("langevin", pair, **settings)


@pytest.mark.parametrize(("figure", "stable"), [(1.9, True), (2.1, False)])
def test_the_figure_of_two_is_where_steps_blow_up(gaussian_priors: Priors, figure: float, stable: bool) -> None:
    """Steps just below it stay bounded; just above it they are refused, and would indeed grow without end."""
    pair = gaussian_priors(2, TIME)
    for prior in pair:
        prior._values = tf.zeros_like(prior._values)
    settings = {"largest_sigma": 0.1, "smallest_sigma": 0.1, "num_levels": 1, "num_steps": 800, "final_denoise": False}
    settings["exact"] = False
    delta = figure * 0.01 / 1.5
    if stable:
        drawn = posteriors.build("langevin", pair, delta=delta, **settings).sample(np.ones((1, TIME)), 1, (0, 0))
        assert np.abs(drawn).max() < 10.0
    else:
        with pytest.raises(InputError, match="in 0..2, got 2.1 from delta 0.014, smallest_sigma 0.1"):
            posteriors.build("langevin", pair, delta=delta, **settings)
        steps = np.abs((1 - figure) ** np.arange(800))
        assert steps[-1] > 1e30


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        (
            {"delta": 0.04, "exact": False},
            r"stable only while eta \(1/sigma\^2 \+ \|a\|\^2/gamma\^2\) lies in 0..2, got 150 from",
        ),
        (
            {"exact": False, "likelihood_ratio": 0.1},
            "got 51 from delta 0.0004, smallest_sigma 0.02, likelihood_ratio 0.1",
        ),
        ({"delta": 8.4e-4}, "got 2.1 from"),
        ({"delta": 0.0}, "got 0 from"),
        ({"delta": -4e-5}, "got -0.1 from"),
        ({"delta": float("nan")}, "got nan from"),
        ({"likelihood_ratio": 0.0}, "likelihood_ratio must be above 0 .*got 0"),
        ({"likelihood_ratio": -1.0}, "likelihood_ratio must be above 0 .*got -1"),
        ({"num_steps": 0}, "num_steps must be at least 1, got 0"),
        ({"num_restarts": 0}, "num_restarts must be at least 1, got 0"),
        ({"num_chains": 0}, "num_chains must be at least 1, got 0"),
        ({"num_levels": 0}, "at least one level, got .* 0 levels"),
        ({"largest_sigma": 3.0}, "must lie in the 0.01..2 that prior 'coin' supports, got 0.02..3"),
        ({"smallest_sigma": 0.001}, "must lie in the 0.01..2 .* got 0.001..2"),
        ({"gains": (0.0, 1.0)}, "posterior 'langevin': gains must be finite and not zero"),
        ({"metropolis": True}, "Metropolis-adjusted step needs log-densities, and prior 'coin' has only a score"),
        ({"start_sigma": 3.0}, "start_sigma must lie in the schedule's 0.02..2, got 3"),
        ({"update": "gibbs"}, "posterior 'langevin' has no parameter 'update'"),
    ],
)
def test_settings_out_of_range_are_refused(coin_priors: Priors, settings: dict[str, Any], rule: str) -> None:
    coins = coin_priors((1.0, 0.5), 4, smallest_sigma=0.01, largest_sigma=2.0)
    with pytest.raises(InputError, match=rule) as refused:
        posteriors.build("langevin", coins, **settings)
    assert "\n" not in str(refused.value)


def improvement(sampler: Any, sources: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
    """SI-SDRi in dB of the single estimate, (mixture, source), of the mean of sources (mixture, source, time)."""
    mixture = sources.mean(1)
    found = sampler.sample(mixture, 1, (0, 0), start=start)[0].numpy()
    return si_sdri(found, sources, mixture[:, np.newaxis])


@pytest.mark.slow
def test_the_defaults_separate_two_sources_from_noise(toy_priors: list[Prior]) -> None:
    """Four are too many modes for joint gradient steps, whatever the settings; two are not."""
    sources = np.stack([toy.examples(kind, 8, 512, 16000, 0) for kind in ("sine", "square")], axis=1)
    pair = [toy_priors[0], toy_priors[2]]
    gained = improvement(posteriors.build("langevin", pair), sources)
    assert np.mean(gained) > 15.0 and np.mean(gained > 10.0) > 0.8
    published = {"exact": False, "consistent": False, "num_restarts": 1, "delta": 4e-5, "num_steps": 4}
    assert np.mean(improvement(posteriors.build("langevin", pair, **published), sources)) < 0.5 * np.mean(gained)


@pytest.mark.slow
def test_the_defaults_sharpen_an_estimate_of_four_sources(toy_priors: list[Prior]) -> None:
    sources = np.stack([toy.examples(kind, 4, 512, 16000, 0) for kind in KINDS], axis=1)
    near = sources + 0.1 * np.random.default_rng(0).normal(size=sources.shape).astype(np.float32)
    sampler = posteriors.build("langevin", toy_priors)
    before = si_sdri(mixing.project(sources.mean(1), near).numpy(), sources, sources.mean(1)[:, np.newaxis])
    after = improvement(sampler, sources, near)
    assert np.median(after) > np.median(before) + 5.0 and after.min() > 10.0


def test_one_estimate_from_noise_is_the_start_with_the_smallest_residual(coin_priors: Priors) -> None:
    """Coins of levels 1 and 0.9 explain 0.05 in one way only; a single chain may end in another."""
    coins, mixture = coin_priors((1.0, 0.9), 4), np.full((256, 4), 0.05, np.float32)
    schedule = {"largest_sigma": 1.0, "smallest_sigma": 0.05, "num_levels": 3}
    truth = np.array([[1.0], [-0.9]]) * np.ones(4)

    def share_right(num_samples: int, **settings: Any) -> float:
        found = posteriors.build("langevin", coins, **schedule, **settings).sample(mixture, num_samples, (0, 0))
        return float(np.mean(np.abs(found - truth).max(axis=(-1, -2)) < 0.1))

    alone = share_right(1, num_restarts=1)
    assert 0.3 < alone < 0.9
    assert share_right(1, num_restarts=8) > 0.95
    # Undenoised ends still have the noise of the last level.
    assert share_right(1, num_restarts=8, final_denoise=False) > 0.9
    assert share_right(8, num_restarts=8) == pytest.approx(alone, abs=0.12)


def test_a_warm_start_and_draws_take_one_chain_each(gaussian_priors: Priors) -> None:
    sampler = posteriors.build("langevin", gaussian_priors(2, TIME), num_restarts=5, num_chains=2)
    assert isinstance(sampler, Langevin)
    assert [sampler.chains_of(1), sampler.chains_of(1, started=True), sampler.chains_of(3)] == [10, 2, 6]


@pytest.mark.parametrize("step", [0.3, 1.0])
def test_consistent_noise_stays_at_the_level_of_long_steps(coin_priors: Priors, step: float) -> None:
    """Around coins that are known, chains stand at the noise that priors are asked about; published noise above."""
    coins, level = coin_priors((1.0, 1.0), 4), 0.1
    truth = np.tile(np.array([[[1.0] * 4, [-1.0] * 4]], np.float32), (2000, 1, 1))
    schedule = {"largest_sigma": level, "smallest_sigma": level, "num_levels": 1, "num_steps": 20}
    for consistent, variance in ((True, level**2), (False, level**2 / (1.0 - step / 2.0))):
        sampler = posteriors.build(
            "langevin", coins, delta=step * level**2, consistent=consistent, final_denoise=False, **schedule
        )
        found = sampler.sample(truth.mean(1), 1, (0, 0), start=truth)[0].numpy()
        # The exact constraint leaves half of the noise of two sources, what they share.
        assert np.mean((found - truth) ** 2) == pytest.approx(variance / 2.0, rel=0.05)


def test_a_single_segment_is_taken(gaussian_priors: Priors) -> None:
    sampler = posteriors.build("langevin", gaussian_priors(2, TIME), **{**LONG, "num_steps": 2})
    assert sampler.sample(np.ones((1, TIME), np.float32), 1, (0, 0)).shape == (1, 1, 2, TIME)
