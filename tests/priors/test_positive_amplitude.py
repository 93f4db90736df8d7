"""The integral over a positive amplitude against plain sums."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tfsep.priors.positive_amplitude import draw, log_evidence, log_likelihood

WAVE = np.array([1.0, -0.5, 0.25])
Y = {"alike": np.array([0.8, -0.3, 0.1]), "opposite": np.array([-2.0, 1.1, -0.4]), "silent": np.zeros(3)}
PRIORS = [(0.9, 0.06), (0.7, 0.5), (0.0, 1.0)]


def brute_force(y: np.ndarray, variance: float, mean: float, spread: float) -> tuple[float, float, float]:
    """log p(y|u), mean and deviation of a, by the trapezoidal rule."""
    a = np.linspace(0.0, mean + 12.0 * spread + 5.0, 200001)
    log_prior = stats.norm.logpdf(a, mean, spread) - stats.norm.logcdf(mean / spread)
    log_joint = log_prior + stats.norm.logpdf(y[:, None], WAVE[:, None] * a, math.sqrt(variance)).sum(0)
    joint = np.exp(log_joint - log_joint.max())
    total = np.trapezoid(joint, a)
    first, second = (np.trapezoid(joint * a**power, a) / total for power in (1, 2))
    return float(np.log(total) + log_joint.max()), float(first), float(np.sqrt(second - first**2))


@pytest.mark.parametrize("name", sorted(Y))
@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("variance", [0.01, 1.0])
def test_density_mean_and_draws_are_those_of_the_sum(name: str, prior: tuple[float, float], variance: float) -> None:
    y = Y[name]
    expected, mean, deviation = brute_force(y, variance, *prior)
    amplitude, v = tf.constant(prior, tf.float64), tf.constant(variance, tf.float64)
    inner, energy = tf.constant([WAVE @ y]), tf.constant([WAVE @ WAVE])
    evidence, level = log_evidence(inner, energy, v, amplitude)
    normal = stats.norm.logpdf(y, scale=math.sqrt(variance)).sum()
    likelihood, again = log_likelihood(tf.constant(y), tf.constant(WAVE[np.newaxis]), v, amplitude)
    constant = -1.5 * math.log(math.tau * variance)
    np.testing.assert_allclose([evidence[0] + normal, likelihood[0] + constant], expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose([level[0], again[0]], mean, rtol=1e-4)
    uniform = tf.constant((np.arange(20000) + 0.5) / 20000)
    drawn = draw(inner, energy, v, amplitude, uniform).numpy()
    assert drawn.min() >= 0.0
    np.testing.assert_allclose([drawn.mean(), drawn.std()], [mean, deviation], rtol=2e-3)


def test_the_gradient_is_the_expected_wave_less_the_event() -> None:
    y, amplitude = tf.constant(Y["alike"]), tf.constant([0.7, 0.5], tf.float64)
    variance = tf.constant(0.3, tf.float64)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(y)
        likelihood, level = log_likelihood(y, tf.constant(WAVE[np.newaxis]), variance, amplitude)
        evidence, _ = log_evidence(tf.reduce_sum(WAVE * y), tf.reduce_sum(WAVE**2), variance, amplitude)
    np.testing.assert_allclose(tape.gradient(likelihood, y), (level * WAVE - y) / variance, rtol=1e-10)
    np.testing.assert_allclose(tape.gradient(evidence, y), level * WAVE / variance, rtol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_waves_far_from_positive_stay_exact(dtype: type) -> None:
    """z from -1,000 to 40, through both branches: by Mills' ratio and by the distribution function."""
    z = np.array([-1000.0, -60.0, -12.5, -12.0, -11.5, -3.0, 0.0, 3.0, 40.0])
    inner, amplitude = tf.constant((z * np.sqrt(2.0)).astype(dtype)), tf.constant([0.0, 1.0], dtype)
    one = tf.constant(1.0, dtype)
    evidence, level = log_evidence(inner, tf.ones_like(inner), one, amplitude)
    expected = 0.5 * z**2 + stats.norm.logcdf(z) - np.log(0.5) - 0.5 * np.log(2.0)
    ratio = np.exp(stats.norm.logpdf(z) - stats.norm.logcdf(z))
    exact = dtype == np.float64
    np.testing.assert_allclose(evidence, expected, rtol=1e-8 if exact else 1e-5, atol=1e-9 if exact else 1e-5)
    near = z > -100.0
    np.testing.assert_allclose(level[near], ((z + ratio) / np.sqrt(2.0))[near], rtol=1e-6 if exact else 2e-2)
    assert np.all(level.numpy() >= 0.0)
