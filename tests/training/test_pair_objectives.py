"""The losses on pairs of a mixture and its sources, against scipy and each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import norm

from tests.training.gaussian_sources import Free, sources
from tfsep.training import pair_objectives

SEED = (4, 2)
GAINS = (0.5, 0.2)


class Fixed:
    """A posterior with a fixed output."""

    gains = GAINS

    def __init__(self, means: Any, spread: Any) -> None:
        self.answer = tf.constant(means, tf.float32), tf.constant(spread, tf.float32)
        self.mixture: tf.Tensor | None = None

    def __call__(self, mixture: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        self.mixture = mixture
        return self.answer


def case(batch: int = 3, time: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sources before gains, estimates of a_k s_k and log-spreads, each (batch, 2, time)."""
    rng = np.random.default_rng(seed)
    sources = rng.normal(size=(batch, 2, time)).astype(np.float32)
    scaled = sources * np.array(GAINS, np.float32)[:, np.newaxis]
    means = scaled + 0.1 * rng.normal(size=scaled.shape).astype(np.float32)
    return sources, means, rng.uniform(-3, -1, scaled.shape).astype(np.float32)


def test_a_mixture_of_unpaired_sources_is_what_the_posterior_receives() -> None:
    sources, means, spread = case()
    fixed = Fixed(means, spread)
    pair_objectives.simulated_pairs(fixed, tf.constant(sources), tf.constant(SEED))
    np.testing.assert_allclose(fixed.mixture, 0.5 * sources[:, 0] + 0.2 * sources[:, 1], atol=1e-6)


def test_simulated_pairs_measure_the_error_of_each_share() -> None:
    sources, means, spread = case()
    _, metrics = pair_objectives.simulated_pairs(Fixed(means, spread), tf.constant(sources), tf.constant(SEED))
    scaled = sources * np.array(GAINS)[:, np.newaxis]
    power = np.mean(scaled.sum(1) ** 2, axis=-1)
    relative = np.mean((scaled - means) ** 2, axis=-1) / power[:, np.newaxis]
    assert float(metrics["mse"]) == pytest.approx(relative.mean(), rel=1e-4)
    assert float(metrics["log_mse"]) == pytest.approx(np.log(relative + 1e-3).mean(), rel=1e-4)
    # In units of the mixture's root mean square.
    level = np.sqrt(power)[:, np.newaxis, np.newaxis]
    density = norm.logpdf(scaled / level, means / level, np.exp(spread) / level)
    assert float(metrics["nll_per_dim"]) == pytest.approx(-density.mean(), rel=1e-3)


def test_the_loss_does_not_change_with_loudness() -> None:
    sources, means, spread = case()
    loss, _ = pair_objectives.simulated_pairs(Fixed(means, spread), tf.constant(sources), tf.constant(SEED))
    quiet = Fixed(0.02 * means, spread + np.log(0.02))
    found, _ = pair_objectives.simulated_pairs(quiet, tf.constant(0.02 * sources), tf.constant(SEED))
    assert float(found) == pytest.approx(float(loss), rel=1e-3)


def test_the_spread_learns_from_the_error_and_the_error_not_from_the_spread() -> None:
    sources, means, spread = case()
    scaled = sources * np.array(GAINS, np.float32)[:, np.newaxis]
    power = np.mean(scaled.sum(1) ** 2, axis=-1)[:, np.newaxis, np.newaxis]
    best = 0.5 * np.log((scaled - means) ** 2 + 1e-6 * power)
    gradients = {}
    for name, value in (("best", best), ("given", spread)):
        fixed = Fixed(means, value)
        with tf.GradientTape() as tape:
            tape.watch(fixed.answer)
            loss, metrics = pair_objectives.simulated_pairs(fixed, tf.constant(sources), tf.constant(SEED))
            nll = metrics["nll_per_dim"]
        gradients[name] = tape.gradient(loss, fixed.answer)
    with tf.GradientTape() as tape:
        tape.watch(fixed.answer)
        nll = pair_objectives.simulated_pairs(fixed, tf.constant(sources), tf.constant(SEED))[1]["nll_per_dim"]
    assert tape.gradient(nll, fixed.answer)[0] is None
    np.testing.assert_allclose(gradients["best"][0], gradients["given"][0], rtol=1e-6)
    np.testing.assert_allclose(gradients["best"][1], 0.0, atol=1e-8)
    assert np.abs(gradients["given"][1]).max() > 1e-5
    # The means are pulled towards the truth.
    assert np.all(np.sign(gradients["given"][0]) == np.sign(means - scaled))


def test_silence_costs_nothing_that_is_not_finite() -> None:
    quiet = np.zeros((2, 2, 30), np.float32)
    fixed = Fixed(quiet, quiet - 11.0)
    with tf.GradientTape() as tape:
        tape.watch(fixed.answer)
        loss, metrics = pair_objectives.simulated_pairs(fixed, tf.constant(quiet), tf.constant(SEED))
    for value in (loss, *metrics.values(), *tape.gradient(loss, fixed.answer)):
        assert np.isfinite(value).all()


def test_any_family_learns_its_density_from_the_errors_of_its_means() -> None:
    """For one Gaussian in two parametrisations the likelihoods agree; the density does not train the means."""
    model = Free()
    with tf.GradientTape() as tape:
        _, metrics = pair_objectives.conditional_likelihood(model, sources(), SEED)
        nll = metrics["nll_per_dim"]
    gradient = tape.gradient(nll, [model.share.value, model.log_spread.value])
    assert gradient[0] is None and np.abs(gradient[1]).max() > 0
    _, expected = pair_objectives.simulated_pairs(model, sources(), SEED)
    assert float(nll) == pytest.approx(float(expected["nll_per_dim"]), abs=0.01)
    assert float(metrics["mse"]) == pytest.approx(float(expected["mse"]))
