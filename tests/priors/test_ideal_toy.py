"""The ideal toy prior against brute force: sums over keys, dense grids of phases and amplitudes, in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from scipy.special import logsumexp

from tfsep import priors
from tfsep.data import toy
from tfsep.priors.truncated_normal import draw_truncated_normal, truncated_normal

SOURCES = ("sine", "sawtooth", "square", "triangle")


def ideal(length: int, source: str = "sine", **settings: Any) -> Any:
    return priors.build("ideal_toy", length=length, source=source, **{"dtype": "float64", **settings})


def waveforms(source: str, length: int, num_phases: int) -> np.ndarray:
    """Every key at ``num_phases`` phases, unit amplitude: (key * phase, time)."""
    frequency = np.repeat(toy.key_frequencies(), num_phases)
    phase = np.tile((np.arange(num_phases) + 0.5) / num_phases, toy.NUM_KEYS)
    return toy.render(source, frequency, phase, np.ones_like(phase), length, 16000).numpy()


def brute_force(waves: np.ndarray, y: np.ndarray, sigma: float, num_amplitudes: int = 24) -> tuple[float, np.ndarray]:
    """log p(y) and E[a w | y], every integral a plain sum; amplitudes by Gauss and Legendre."""
    nodes, weights = np.polynomial.legendre.leggauss(num_amplitudes)
    amplitudes, shares = 0.9 + 0.1 * nodes, 0.5 * weights
    inner, energy = waves @ y, (waves**2).sum(1)
    squares = y @ y - 2.0 * np.outer(inner, amplitudes) + np.outer(energy, amplitudes**2)
    log_joint = -0.5 * squares / sigma**2 + np.log(shares) - math.log(len(waves))
    total = logsumexp(log_joint)
    clean = (np.exp(log_joint - total) @ amplitudes) @ waves
    return total - 0.5 * len(y) * math.log(2.0 * math.pi * sigma**2), clean


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("sigma", [0.1, 3.0])
def test_is_the_brute_force_sum_over_its_own_grid(source: str, sigma: float) -> None:
    """The formulae alone: the same phases in both, none divided."""
    prior = ideal(6, source, num_phases=64, num_rounds=0)
    y = prior.sample(3, (1, 2), sigma).numpy()
    log_prob, clean = prior.log_prob(y, sigma).numpy(), prior.denoise(y, sigma).numpy()
    waves = waveforms(source, 6, 64)
    for i in range(3):
        expected, mean = brute_force(waves, y[i, :, 0], sigma)
        assert abs(log_prob[i] - expected) < 1e-9
        np.testing.assert_allclose(clean[i, :, 0], mean, atol=1e-9)


@pytest.mark.parametrize(
    ("source", "accuracy"), [("sine", 1e-3), ("sawtooth", 2e-2), ("square", 2e-2), ("triangle", 5e-3)]
)
@pytest.mark.parametrize("sigma", [0.3, 3.0])
def test_agrees_with_a_dense_grid(source: str, accuracy: float, sigma: float) -> None:
    """In nats, out of about ten; waves with jumps ask most of a grid of phases."""
    prior = ideal(6, source)
    y = prior.sample(3, (1, 2), sigma).numpy()
    log_prob, clean = prior.log_prob(y, sigma).numpy(), prior.denoise(y, sigma).numpy()
    waves = waveforms(source, 6, 1024)
    for i in range(3):
        expected, mean = brute_force(waves, y[i, :, 0], sigma)
        assert abs(log_prob[i] - expected) < accuracy
        np.testing.assert_allclose(clean[i, :, 0], mean, atol=accuracy)


@pytest.mark.parametrize("source", ["sine", "triangle"])
def test_agrees_with_a_dense_grid_at_low_noise(source: str) -> None:
    """All mass lies between the coarse phases, in a few cells of several keys; only divided cells see it."""
    prior, sigma = ideal(48, source, num_refined=32), 0.02
    y = prior.sample(2, (4, 5), sigma).numpy()
    log_prob, clean = prior.log_prob(y, sigma).numpy(), prior.denoise(y, sigma).numpy()
    waves = waveforms(source, 48, 2048)
    for i in range(2):
        expected, mean = brute_force(waves, y[i, :, 0], sigma, num_amplitudes=80)
        assert abs(log_prob[i] - expected) < 0.02
        np.testing.assert_allclose(clean[i, :, 0], mean, atol=1e-3)


@pytest.mark.parametrize(("num_refined", "num_subcells", "num_rounds"), [(1, 2, 1), (4, 16, 2), (3, 5, 3)])
def test_the_weights_of_all_cells_sum_to_one(num_refined: int, num_subcells: int, num_rounds: int) -> None:
    """Under overwhelming noise all waveforms are alike, so what is left of the density is the noise's own."""
    prior = ideal(4, num_phases=8, num_refined=num_refined, num_subcells=num_subcells, num_rounds=num_rounds)
    sigma = 1e4
    y = sigma * np.random.default_rng(0).normal(size=(3, 4, 1))
    noise = stats.norm.logpdf(y, scale=sigma).sum((1, 2))
    np.testing.assert_allclose(prior.log_prob(y, sigma), noise, atol=1e-3)


def test_rounds_are_worth_a_grid_as_fine_everywhere() -> None:
    sigma = 0.05
    refined = ideal(32, "sine", num_phases=16, num_subcells=8, num_refined=48, num_rounds=2)
    everywhere = ideal(32, "sine", num_phases=16 * 64, num_rounds=0)
    y = refined.sample(4, (6, 7), sigma)
    np.testing.assert_allclose(refined.log_prob(y, sigma), everywhere.log_prob(y, sigma), atol=1e-3)
    np.testing.assert_allclose(refined.denoise(y, sigma), everywhere.denoise(y, sigma), atol=1e-4)


@pytest.mark.parametrize("source", SOURCES)
def test_the_density_of_one_sample_integrates_to_one(source: str) -> None:
    prior, sigma = ideal(1, source), 0.25
    y = np.arange(-3.0, 3.0, 0.05)
    density = np.exp(prior.log_prob(y.reshape(-1, 1, 1), sigma))
    assert abs(density.sum() * 0.05 - 1.0) < 1e-3


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("sigma", [0.02, 0.2])
def test_denoising_beats_the_input_and_a_wiener_filter(source: str, sigma: float) -> None:
    """The posterior mean is the best of all estimates, the best linear one included."""
    prior = ideal(64, source, dtype="float32")
    clean = prior.data.draw(source, 32, 64, (8, 9)).numpy()[..., np.newaxis]
    y = clean + sigma * np.random.default_rng(1).normal(size=clean.shape).astype(np.float32)
    variance = float(np.mean(clean**2))
    errors = [np.mean((one - clean) ** 2) for one in (prior.denoise(y, sigma), y * variance / (variance + sigma**2), y)]
    assert errors[0] < 0.5 * min(errors[1:])


def test_the_score_under_loud_noise_is_that_of_the_covariance() -> None:
    """It tends to -(C + sigma^2 I)^-1 y, with C the covariance over keys, phases and amplitudes."""
    prior, sigma = ideal(12), 20.0
    low, high = toy.AMPLITUDES
    power = (high**3 - low**3) / (3.0 * (high - low)) / 2.0
    lag = np.subtract.outer(np.arange(12), np.arange(12))
    covariance = power * np.cos(2.0 * np.pi * toy.key_frequencies()[:, None, None] / 16000 * lag).mean(0)
    y = sigma * np.random.default_rng(0).normal(size=(64, 12, 1))
    limit = -y[..., 0] @ np.linalg.inv(covariance + sigma**2 * np.eye(12))
    pull = prior.score(y, sigma).numpy()[..., 0] + y[..., 0] / sigma**2
    expected = limit + y[..., 0] / sigma**2
    assert np.linalg.norm(pull - expected) < 0.05 * np.linalg.norm(expected)


def test_single_precision_follows_double() -> None:
    single, double = ideal(256, "sawtooth", dtype="float32"), ideal(256, "sawtooth")
    for sigma in (0.05, 0.5, 8.0):
        y = double.sample(4, (1, 1), sigma)
        gap = np.abs(single.log_prob(y, sigma).numpy() - double.log_prob(y, sigma).numpy())
        assert gap.max() < 0.02
        np.testing.assert_allclose(single.denoise(tf.cast(y, tf.float32), sigma), double.denoise(y, sigma), atol=1e-3)


@pytest.mark.parametrize("sigma", [0.4, 3.0])
def test_draws_given_noised_events_have_the_denoiser_as_their_mean(sigma: float) -> None:
    prior = ideal(6, "sawtooth", num_phases=4, num_refined=4, num_subcells=4, num_rounds=1, dtype="float32")
    y = prior.sample(1, (1, 2), sigma)
    drawn = prior.posterior_sample(tf.repeat(y, 1500, axis=0), sigma, (3, 4)).numpy()[..., 0]
    assert np.abs(drawn).max() <= 1.0
    np.testing.assert_allclose(drawn.mean(0), prior.denoise(y, sigma)[0, :, 0], atol=0.06)


def test_draws_given_an_event_almost_without_noise_are_that_event() -> None:
    prior = ideal(64, "sine")
    clean = prior.data.draw("sine", 8, 64, (8, 9)).numpy()[..., np.newaxis]
    np.testing.assert_allclose(prior.posterior_sample(clean, 0.02, (0, 0)), clean, atol=0.05)


def test_draws_of_the_truncated_normal_have_its_mean_and_bounds() -> None:
    means = np.array([0.9, 0.5, 1.3, 0.0, 2.0, 0.79, 0.3])
    stds = np.array([0.02, 0.2, 0.2, 0.01, 0.1, 0.001, 100.0])
    shape = np.ones((20001, 1))
    uniform = tf.constant(np.linspace(0.0, 1.0, 20001)[:, np.newaxis] * np.ones(7))
    drawn = draw_truncated_normal(tf.constant(shape * means), tf.constant(shape * stds), 0.8, 1.0, uniform).numpy()
    assert drawn.min() >= 0.8 and drawn.max() <= 1.0
    expected = truncated_normal(tf.constant(means), tf.constant(stds), 0.8, 1.0)[1]
    np.testing.assert_allclose(drawn.mean(0), expected, atol=2e-4)


def test_its_samples_are_the_toy_data_with_noise_of_their_own() -> None:
    prior = ideal(64, "sine")
    clean = prior.data.draw("sine", 512, 64, (0, 3)).numpy()
    noise = prior.sample(512, (0, 3), 0.5).numpy()[..., 0] - clean
    assert abs(noise.std() - 0.5) < 0.01
    assert abs(np.mean(noise * clean)) < 0.005
    drawn = toy._uniform(512, tf.constant([0, 3], tf.int64), 0).numpy()
    correlation = np.corrcoef(np.concatenate([drawn[:, None], noise], axis=1).T)[0, 1:]
    assert np.abs(correlation).max() < 0.2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_truncated_normal_is_exact_far_into_its_tails(dtype: Any) -> None:
    means = np.array([0.0, 0.0, 0.5, 0.79, 0.9, 0.9, 0.98, 1.3, 2.0, -3.0, 0.8, 0.3])
    stds = np.array([4e-4, 0.01, 3.0, 4e-4, 1e-3, 0.05, 0.3, 0.1, 2e-3, 1e-2, 50.0, 1000.0])
    log_mass, mean = truncated_normal(tf.constant(means.astype(dtype)), tf.constant(stds.astype(dtype)), 0.8, 1.0)
    assert log_mass.dtype == mean.dtype == dtype
    nodes, weights = np.polynomial.legendre.leggauss(400)
    for i, (centre, std) in enumerate(zip(means, stds, strict=True)):
        reach = min(1.0, max(0.8, centre) + 40 * std) - max(0.8, min(1.0, centre) - 40 * std)
        start = max(0.8, min(1.0, centre) - 40 * std)
        a = start + reach * (nodes + 1) / 2
        log_terms = stats.norm.logpdf(a, centre, std) + np.log(weights * reach / 2)
        expected = logsumexp(log_terms)
        assert abs(float(log_mass[i]) - expected) < 1e-5 * max(1.0, abs(expected))
        assert abs(float(mean[i]) - np.exp(log_terms - expected) @ a) < 1e-5
