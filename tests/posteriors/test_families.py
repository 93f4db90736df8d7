"""Families of amortised posteriors: a flow's exact density, a waveform refinement, temperatures."""

from __future__ import annotations

import functools
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import norm

from tests.signals import noise_tensor
from tfsep import posteriors
from tfsep.errors import InputError
from tfsep.networks.refinement import fold, unfold
from tfsep.posteriors.amortised import Amortised
from tfsep.posteriors.conditional_flow import ConditionalFlow

SEGMENT = 8
GAINS = (1.0, -0.5)
FLOW = {"family": "flow", "family_settings": {"block": 4, "num_couplings": 2, "width": 4, "num_layers": 1}}
REFINE = {"refine": {"block": 4, "width": 4, "num_layers": 1}}


@functools.cache
def make(*parts: str) -> Amortised:
    """A posterior of two sources with moved weights; parts are "flow" and "refine"."""
    keras.utils.set_random_seed(len(parts))
    settings: dict[str, Any] = {**(FLOW if "flow" in parts else {}), **(REFINE if "refine" in parts else {})}
    shape = {"num_sources": 2, "segment": SEGMENT, "network_settings": {"width": 4, "num_blocks": 1}}
    posterior = posteriors.build("amortised", gains=GAINS, **shape, **settings)
    assert isinstance(posterior, Amortised)
    for weight in posterior.trainable_variables:
        weight.assign_add(keras.random.normal(weight.shape, stddev=0.3))
    return posterior


def test_waves_are_folded_into_blocks_and_back() -> None:
    waves = tf.constant(np.arange(24).reshape(1, 2, 12), tf.float32)
    blocks = fold(waves, 4)
    np.testing.assert_array_equal(blocks[0, 1], [4, 5, 6, 7, 16, 17, 18, 19])
    np.testing.assert_array_equal(unfold(blocks, 4), waves)


def test_a_new_flow_is_the_gaussian() -> None:
    flow = ConditionalFlow(2, block=4, width=4)
    wave, log_det = flow.shape_noise(noise_tensor(3, 8), noise_tensor(3, 2, 8))
    np.testing.assert_array_equal(wave, noise_tensor(3, 8))
    np.testing.assert_array_equal(log_det, np.zeros(3))


def test_a_drawn_error_has_the_density_that_the_jacobian_says() -> None:
    flow, known = make("flow").flows[0], noise_tensor(1, 2, SEGMENT, seed=3)
    white = tf.Variable(noise_tensor(1, SEGMENT, seed=1))
    with tf.GradientTape() as tape:
        wave, log_det = flow.shape_noise(white, known)
    jacobian = tape.jacobian(wave, white).numpy()[0, :, 0]
    assert float(log_det[0]) == pytest.approx(np.linalg.slogdet(jacobian)[1], abs=1e-4)
    assert np.abs(jacobian - np.eye(SEGMENT)).max() > 0.05
    again, back = flow.whiten(wave, known)
    np.testing.assert_allclose(again, white, atol=1e-4)
    np.testing.assert_allclose(back, -log_det, atol=1e-4)


@pytest.mark.parametrize("parts", [(), ("flow", "refine")])
def test_draws_and_densities_agree(parts: tuple[str, ...]) -> None:
    posterior, mixture = make(*parts), noise_tensor(3, SEGMENT)
    means, spread = posterior(mixture)
    drawn, log_q = posterior.draw(mixture, 2, (0, 1))
    assert drawn.shape == (2, 3, 2, SEGMENT) and log_q.shape == (2, 3, 2)
    for sample, density in zip(drawn, log_q, strict=True):
        found = posterior.log_prob_of_error(mixture, means, spread, sample - means)
        np.testing.assert_allclose(found, density, atol=1e-3)
    if not parts:
        expected = norm.logpdf(drawn[0], means, np.exp(spread)).sum(-1)
        np.testing.assert_allclose(log_q[0], expected, rtol=1e-4)


def test_a_refined_mean_still_explains_the_mixture() -> None:
    posterior, mixture = make("refine"), noise_tensor(3, SEGMENT)
    means, _ = posterior(mixture)
    np.testing.assert_allclose(tf.reduce_sum(means, axis=1), mixture, atol=1e-5)
    assert posterior.refinement is not None
    change = posterior.refinement(noise_tensor(3, 3, SEGMENT)).numpy()
    assert np.abs(change).max() > 1e-3
    np.testing.assert_allclose(10 * means, posterior(10 * mixture)[0], rtol=1e-3, atol=1e-3)


def test_a_new_refinement_changes_nothing() -> None:
    keras.utils.set_random_seed(3)
    plain = posteriors.build("amortised", num_sources=2, segment=SEGMENT)
    refined = posteriors.build("amortised", num_sources=2, segment=SEGMENT, **REFINE)
    assert len(refined.weights) > len(plain.weights)
    for mine, theirs in zip(refined.weights, plain.weights, strict=False):
        mine.assign(theirs)
    mixture = noise_tensor(2, SEGMENT)
    np.testing.assert_array_equal(refined(mixture)[0], plain(mixture)[0])


def test_every_weight_of_a_flow_and_a_refinement_learns() -> None:
    posterior = make("flow", "refine")
    with tf.GradientTape() as tape:
        drawn, log_q = posterior.draw(noise_tensor(4, SEGMENT), 1, (0, 1))
        loss = tf.reduce_sum(drawn**3) + tf.reduce_sum(log_q)
    assert {id(v) for v in tape.watched_variables()} == {id(w.value) for w in posterior.trainable_variables}
    gradients = tape.gradient(loss, [weight.value for weight in posterior.trainable_variables])
    assert all(gradient is not None and np.abs(gradient).max() > 0 for gradient in gradients)


def test_a_temperature_widens_the_draws_of_its_source_and_no_estimate() -> None:
    posterior, mixture = make(), noise_tensor(1, SEGMENT)
    estimate = posterior.sample(mixture, 1, (0, 0)).numpy()
    cold = posterior.sample(mixture, 2000, (0, 0)).numpy()
    posterior.temperature = (3.0, 3.0)
    try:
        hot = posterior.sample(mixture, 2000, (0, 0)).numpy()
        np.testing.assert_array_equal(posterior.sample(mixture, 1, (0, 0)), estimate)
        np.testing.assert_allclose(hot - hot.mean(0), 3.0 * (cold - cold.mean(0)), atol=1e-3)
    finally:
        posterior.temperature = (1.0, 1.0)


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"family": "student"}, "the family must be one of gaussian, flow, got 'student'"),
        ({"family_settings": {"block": 4}}, "the family 'gaussian' has no settings, got block"),
        ({"family": "flow", "family_settings": {"block": 3}}, "block must be even and num_couplings at least 1, got 3"),
        ({"family": "flow", "family_settings": {"block": 6}}, "block must divide the segment of 8 samples, got 6"),
        ({"refine": {"block": 5}}, "block must divide the segment of 8 samples, got 5"),
        ({"refine": {"depth": 5}}, "depth"),
        ({"temperature": [1.0]}, "temperature must be a number above 0 for each of the 2 sources, got"),
        ({"temperature": [1.0, 0.0]}, "temperature must be a number above 0"),
    ],
)
def test_what_it_cannot_be_built_from_is_refused(settings: dict[str, Any], rule: str) -> None:
    with pytest.raises(InputError, match=rule) as refused:
        posteriors.build("amortised", num_sources=2, segment=SEGMENT, **settings)
    assert "\n" not in str(refused.value)
