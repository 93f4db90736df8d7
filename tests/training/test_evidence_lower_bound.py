"""The evidence lower bound against closed forms, and what it does to a posterior that can learn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.training.gaussian_sources import GAINS, PRIORS, SEED, TIME, Free, Gaussian, sources
from tfsep.training.evidence_lower_bound import negative_elbo

SIGMA, BETA = 0.5, 1.0


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

    def gradients() -> list[np.ndarray]:
        with tf.GradientTape() as tape:
            loss, _ = negative_elbo(
                model, PRIORS, sources(), tf.constant(SIGMA), tf.constant(BETA), SEED, num_samples=64
            )
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
    loss, metrics = negative_elbo(model, PRIORS, sources(), tf.constant(SIGMA), tf.constant(BETA), SEED, num_samples=64)
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
            loss, _ = negative_elbo(model, priors, sources(), tf.constant(SIGMA), tf.constant(BETA), SEED)
        found.append(tape.gradient(loss, [model.share.value, model.log_spread.value]))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4)


class Conditional(Gaussian):
    """A Gaussian whose score is another one's, as that of conditionals may be."""

    score_of = "conditionals"

    def score(self, x: Any, sigma: Any = None) -> tf.Tensor:
        return 3.0 * super().score(x, sigma)


def test_a_score_of_conditionals_moves_draws_and_leaves_the_bound_as_it_is() -> None:
    model, found = Free(), []
    for kind, has_log_prob in ((Gaussian, True), (Conditional, True), (Conditional, False)):
        priors = [kind(1.0, has_log_prob), kind(4.0, has_log_prob)]
        with tf.GradientTape() as tape:
            loss, metrics = negative_elbo(model, priors, sources(), tf.constant(SIGMA), tf.constant(BETA), SEED)
        found.append((metrics["elbo_per_dim"], tape.gradient(loss, [model.share.value, model.log_spread.value])))
    (exact, gradient), (same, moved), (_, by_score) = found
    assert float(same) == pytest.approx(float(exact), rel=1e-6)
    for own, one, other in zip(gradient, moved, by_score, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)
        assert np.abs(one - own).max() > 0.1
