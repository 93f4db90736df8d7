"""The evidence lower bound against closed forms, its annealing, and what it does to a posterior that can learn."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfsep.audio.front_end import WaveFrontEnd
from tfsep.errors import InputError
from tfsep.priors.base import Prior, broadcast_to_event, per_example_sigma
from tfsep.training import objectives, variational
from tfsep.training.variational import ObjectiveSettings

TIME, GAINS, SEED = 6, (0.5, 0.25), (3, 4)
STILL = {"largest_sigma": 0.5, "smallest_sigma": 0.5, "first_beta": 1.0}


class Gaussian(Prior):
    """N(0, variance I) over waves, with or without a density."""

    kind, domain = "gaussian", "wave"
    front_end = WaveFrontEnd()
    smallest_sigma = 0.01

    def __init__(self, variance: float, has_log_prob: bool = True) -> None:
        self.event_shape, self.variance, self.has_log_prob = (TIME, 1), variance, has_log_prob

    def log_prob(self, x: Any, sigma: Any = None) -> tf.Tensor:
        variance = self.variance + broadcast_to_event(per_example_sigma(sigma, x), x) ** 2
        return tf.reduce_sum(-0.5 * x**2 / variance - 0.5 * tf.math.log(math.tau * variance), axis=[1, 2])

    def score(self, x: Any, sigma: Any = None) -> tf.Tensor:
        return -x / (self.variance + broadcast_to_event(per_example_sigma(sigma, x), x) ** 2)

    def sample(self, num: int, seed: Any, sigma: Any = None) -> tf.Tensor:
        return math.sqrt(self.variance) * tf.random.stateless_normal((num, *self.event_shape), seed)


class Free(keras.Model):
    """A posterior whose mean is a number of its own times the mixture, and whose spread is a number of its own."""

    family, gains = "gaussian", GAINS

    def __init__(self) -> None:
        super().__init__()
        self.share = self.add_weight(shape=(2,), initializer="zeros", name="share")
        self.log_spread = self.add_weight(shape=(2,), initializer="zeros", name="log_spread")

    def call(self, mixture: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        means = tf.convert_to_tensor(self.share)[:, tf.newaxis] * mixture[:, tf.newaxis]
        return means, tf.convert_to_tensor(self.log_spread)[:, tf.newaxis] * tf.ones_like(means)

    def draw(self, mixture: tf.Tensor, num_samples: int, seed: Any) -> tuple[tf.Tensor, tf.Tensor]:
        means, spread = self(mixture)
        noise = tf.random.stateless_normal((num_samples, *means.shape), seed)
        log_q = -tf.reduce_sum(0.5 * noise**2 + spread + 0.5 * math.log(math.tau), axis=-1)
        return means + tf.exp(spread) * noise, log_q

    def log_prob_of_error(self, mixture: tf.Tensor, means: tf.Tensor, spread: tf.Tensor, error: tf.Tensor) -> tf.Tensor:
        return -tf.reduce_sum(0.5 * (error * tf.exp(-spread)) ** 2 + spread + 0.5 * math.log(math.tau), axis=-1)


def sources(batch: int = 40) -> tf.Tensor:
    scale = np.array([[1.0], [2.0]])
    return tf.constant(scale * np.random.default_rng(0).normal(size=(batch, 2, TIME)), tf.float32)


PRIORS = [Gaussian(1.0), Gaussian(4.0)]


def exact_posterior(sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Best shares and spreads of a_k s_k for a factorised Gaussian q given m: mean and 1/precision per coordinate."""
    variance = np.array([1.0, 4.0]) + sigma**2
    gains = np.array(GAINS)
    gamma = sigma**2 * np.sum(gains**2)
    precision = np.diag(1 / variance) + np.outer(gains, gains) / gamma
    mean = np.linalg.solve(precision, gains / gamma)
    return gains * mean, gains / np.sqrt(np.diag(precision))


def test_the_bound_is_highest_at_the_known_posterior() -> None:
    """A mean-field Gaussian's optimum: the exact mean, and the inverse of the precision's diagonal."""
    model = Free()
    share, spread = exact_posterior(0.5)
    settings = ObjectiveSettings(kind="elbo", num_samples=64, **STILL)

    def gradients() -> list[np.ndarray]:
        with tf.GradientTape() as tape:
            loss, _ = variational.negative_elbo(model, PRIORS, sources(), tf.constant(1.0), SEED, settings)
        return [np.asarray(g) for g in tape.gradient(loss, [model.share.value, model.log_spread.value])]

    before = max(np.abs(gradient).max() for gradient in gradients())
    model.share.assign(share)
    model.log_spread.assign(np.log(spread))
    after = max(np.abs(gradient).max() for gradient in gradients())
    assert after < 0.02 < 0.1 < before


def test_the_bound_does_not_exceed_the_evidence() -> None:
    model, sigma = Free(), 0.5
    share, spread = exact_posterior(sigma)
    model.share.assign(share)
    model.log_spread.assign(np.log(spread))
    settings = ObjectiveSettings(kind="elbo", num_samples=64, **STILL)
    loss, metrics = variational.negative_elbo(model, PRIORS, sources(), tf.constant(1.0), SEED, settings)
    assert float(loss) == pytest.approx(-float(metrics["elbo_per_dim"]), rel=1e-5)
    gains, variance = np.array(GAINS), np.array([1.0, 4.0]) + sigma**2
    total = np.sum(gains**2 * variance) + sigma**2 * np.sum(gains**2)
    mixture = np.einsum("k,bkt->bt", gains, sources())
    evidence = np.mean(np.sum(-0.5 * mixture**2 / total - 0.5 * np.log(math.tau * total), axis=-1)) / (2 * TIME)
    # What a factorised q loses: half the log of the ratio of the precision's diagonal to its determinant, per sample.
    precision = np.diag(1 / variance) + np.outer(gains, gains) / (sigma**2 * np.sum(gains**2))
    gap = 0.5 * np.log(np.prod(np.diag(precision)) / np.linalg.det(precision)) / 2
    assert float(metrics["elbo_per_dim"]) == pytest.approx(evidence - gap, abs=0.01)


def test_a_score_moves_a_posterior_as_its_density_does() -> None:
    model = Free()
    found = []
    for has_log_prob in (True, False):
        priors = [Gaussian(1.0, has_log_prob), Gaussian(4.0, has_log_prob)]
        with tf.GradientTape() as tape:
            loss, _ = variational.negative_elbo(
                model, priors, sources(), tf.constant(1.0), SEED, ObjectiveSettings(kind="elbo", **STILL)
            )
        found.append(tape.gradient(loss, [model.share.value, model.log_spread.value]))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4)


@pytest.mark.parametrize(
    ("progress", "sigma", "beta"), [(0.0, 1.0, 0.2), (0.05, 10 ** (-0.1), 0.6), (0.25, 10**-0.5, 1.0), (1.0, 0.1, 1.0)]
)
def test_sigma_falls_and_beta_rises(progress: float, sigma: float, beta: float) -> None:
    settings = ObjectiveSettings(annealed=0.5, warmed_up=0.1, first_beta=0.2)
    found = variational.annealed(tf.constant(progress), settings)
    np.testing.assert_allclose(found, (sigma, beta), rtol=1e-5)


def test_both_is_the_weighted_sum() -> None:
    model, batch = Free(), (sources(), tf.fill([40], 0.5))
    settings = ObjectiveSettings(kind="both", pairs_weight=2.0, elbo_weight=0.3)
    loss, metrics = variational.build(settings, PRIORS)(model, batch, SEED)
    one, _ = variational.negative_elbo(model, PRIORS, *batch[:1], tf.constant(0.5), SEED, settings)
    other, _ = objectives.simulated_pairs(model, batch[0], SEED)
    assert float(loss) == pytest.approx(0.3 * float(one) + 2.0 * float(other), rel=1e-5)
    assert {"elbo_per_dim", "prior_sigma", "mse"} <= set(metrics)
    alone, _ = variational.build(ObjectiveSettings(kind="elbo"), PRIORS)(model, batch, SEED)
    assert float(alone) == pytest.approx(float(one), rel=1e-5)


def test_pairs_may_be_simulated_from_the_priors() -> None:
    """Sources of variance 1 and 4 drawn from the priors replace the recorded ones, which are silent here."""
    settings = ObjectiveSettings(pairs_from="priors")
    assert settings.needs_priors
    seed, silence = tf.constant(SEED), tf.zeros((4000, 2, TIME))
    drawn = variational.simulated_sources(PRIORS, 4000, seed).numpy()
    np.testing.assert_allclose(drawn.var(axis=(0, 2)), (1.0, 4.0), rtol=0.05)
    assert abs(np.corrcoef(drawn[:, 0].ravel(), drawn[:, 1].ravel())[0, 1]) < 0.03
    loss, _ = variational.build(settings, PRIORS)(Free(), (silence, tf.zeros(4000)), seed)
    expected, _ = objectives.simulated_pairs(Free(), tf.constant(drawn), seed)
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)


def test_pairs_alone_ask_for_no_priors() -> None:
    assert variational.build(ObjectiveSettings(), None) is variational.pairs
    expected, _ = objectives.simulated_pairs(Free(), sources(), SEED)
    found, _ = variational.pairs(Free(), sources(), SEED)
    assert float(found) == pytest.approx(float(expected))


def test_any_family_learns_its_density_from_the_errors_of_its_means() -> None:
    """For one Gaussian in two parametrisations the likelihoods agree; the density does not train the means."""
    model = Free()
    with tf.GradientTape() as tape:
        _, metrics = variational.conditional_likelihood(model, sources(), SEED)
        nll = metrics["nll_per_dim"]
    gradient = tape.gradient(nll, [model.share.value, model.log_spread.value])
    assert gradient[0] is None and np.abs(gradient[1]).max() > 0
    _, expected = objectives.simulated_pairs(model, sources(), SEED)
    assert float(nll) == pytest.approx(float(expected["nll_per_dim"]), abs=0.01)
    assert float(metrics["mse"]) == pytest.approx(float(expected["mse"]))


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"kind": "vae"}, "objective.kind must be one of simulated_pairs, elbo, mean_field, both, got 'vae'"),
        ({"pairs_from": "songs"}, "objective.pairs_from must be data or priors, got 'songs'"),
        ({"largest_sigma": 0.05}, "objective needs 0 < smallest_sigma <= largest_sigma, got 0.1 and 0.05"),
        ({"annealed": 1.5}, "objective.annealed must lie in 0..1, got 1.5"),
        ({"num_samples": 0}, "objective.num_samples must be above 0, got 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        ObjectiveSettings(**settings)


def test_a_bound_without_priors_is_refused() -> None:
    with pytest.raises(InputError, match=r"posterior 'amortised \(elbo\)' needs a prior for each source"):
        variational.build(ObjectiveSettings(kind="elbo"), None)


def test_a_bound_over_what_has_no_score_is_refused() -> None:
    prior = Gaussian(0.5, has_log_prob=False)
    prior.has_score = False
    with pytest.raises(InputError, match=r"'amortised \(elbo\)' follows scores .* among other sounds"):
        variational.build(ObjectiveSettings(kind="elbo"), [prior, prior])
    variational.build(ObjectiveSettings(kind="mean_field"), [prior, prior])
