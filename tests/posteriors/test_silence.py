"""Silence as part of the model: a density with a spike at zero, and an absent source that ends near it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tfsep import posteriors, priors
from tfsep.data import toy
from tfsep.errors import InputError
from tfsep.posteriors.silence import SilencePrior, with_silence
from tfsep.priors.base import Prior

VARIANCE, PROBABILITY, SIGMA = 4.0, 0.3, 0.5


@pytest.fixture(scope="module")
def silent() -> SilencePrior:
    return SilencePrior(priors.build("gaussian", length=3, variances=VARIANCE, dtype="float64"), PROBABILITY)


X = np.random.default_rng(0).normal(size=(6, 3, 1)) * np.array([0.1, 0.3, 0.6, 1.0, 2.0, 4.0])[:, None, None]


def shares() -> tuple[np.ndarray, np.ndarray]:
    sounding = stats.norm.pdf(X, scale=np.sqrt(VARIANCE + SIGMA**2)).prod((1, 2)) * (1 - PROBABILITY)
    return sounding, stats.norm.pdf(X, scale=SIGMA).prod((1, 2)) * PROBABILITY


def test_the_density_is_that_of_the_mixture_of_both(silent: SilencePrior) -> None:
    np.testing.assert_allclose(silent.log_prob(X, SIGMA), np.log(sum(shares())), rtol=1e-10)


def test_the_score_is_the_gradient_and_the_denoiser_tweedies(silent: SilencePrior) -> None:
    x = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = silent.log_prob(x, SIGMA)
    score = tape.gradient(total, x)
    np.testing.assert_allclose(silent.score(x, SIGMA), score, atol=1e-10)
    np.testing.assert_allclose(silent.denoise(x, SIGMA), X + SIGMA**2 * score, atol=1e-10)


def test_draws_are_silent_as_often_as_they_should(silent: SilencePrior) -> None:
    sounding, quiet = shares()
    drawn = silent.posterior_sample(np.repeat(X, 4000, axis=0), SIGMA, (0, 1)).numpy().reshape(6, 4000, 3)
    np.testing.assert_allclose((drawn == 0.0).all(2).mean(1), quiet / (quiet + sounding), atol=0.03)
    np.testing.assert_allclose(drawn.mean(1), silent.denoise(X, SIGMA)[..., 0], atol=0.05)
    loud = np.abs(silent.sample(4000, (2, 3), 0.001)).max((1, 2)) > 0.01
    assert loud.mean() == pytest.approx(1 - PROBABILITY, abs=0.03)


def test_an_absent_source_ends_near_silence(toy_priors: list[Prior]) -> None:
    """And without silence in the model it cannot, since the prior of a note has seen only notes."""
    sources = np.stack([toy.examples(kind, 4, 512, 16000, 3) for kind in ("sine", "square")], axis=1)
    sources[:2, 0], sources[2:, 1] = 0.0, 0.0
    absent = sources.std(2) == 0.0
    mixture = sources.mean(1)
    settings: dict[str, Any] = {"update": "gibbs", "num_levels": 10, "num_restarts": 2}
    pair = [toy_priors[0], toy_priors[2]]
    knowing = posteriors.build("gibbs", pair, silence_probability=0.2, **settings).sample(mixture, 1, (0, 0))[0]
    unknowing = posteriors.build("gibbs", pair, **settings).sample(mixture, 1, (0, 0))[0]
    level, wrong = (np.sqrt(np.mean(np.square(found), axis=2))[absent] for found in (knowing, unknowing))
    assert np.median(level) < 0.03 and np.median(wrong) > 0.3
    present = np.sqrt(np.mean((knowing - sources) ** 2, axis=2))[~absent]
    assert np.median(present) < 0.05


@pytest.mark.parametrize("probability", [-0.1, 1.0, float("nan")])
def test_a_probability_out_of_range_is_refused(toy_priors: list[Prior], probability: float) -> None:
    with pytest.raises(InputError, match="silence_probability must lie between 0 and 1, got"):
        posteriors.build("gibbs", toy_priors, silence_probability=probability)


def test_what_cannot_weigh_silence_is_refused(coin_priors: Any) -> None:
    with pytest.raises(InputError, match="silence is weighed by log-densities, and prior 'coin' has only a score"):
        with_silence(coin_priors((1.0,), 4), 0.1)
    with pytest.raises(InputError, match="'amortised' models silence .* and has no silence_probability"):
        posteriors.build("amortised", num_sources=2, segment=8, silence_probability=0.1)
