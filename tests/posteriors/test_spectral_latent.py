"""Latents of flows over magnitudes: the objective, where it begins, and where it ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.known_priors import notes
from tests.posteriors.test_spectral import LENGTH, PAIR, STFT, flows, mixtures
from tfsep import posteriors
from tfsep.errors import InputError
from tfsep.posteriors.spectral import divergence, explained

__all__ = ["flows", "mixtures"]


def objective(sampler: Any, mixture: np.ndarray, latents: tf.Tensor) -> tf.Tensor:
    """Return J of each chain."""
    observed = sampler.magnitudes(sampler.observe(mixture))
    found = explained(sampler.first_weights(len(mixture)), sampler.magnitudes(sampler.decode(latents)))
    misfit = divergence(observed, found, STFT.floor) / (tf.reduce_mean(observed, [1, 2]) + STFT.floor)
    return misfit + 0.5 * sampler.weight * tf.reduce_sum(latents**2, [1, 2, 3])


def test_the_gradient_is_that_of_the_objective(flows: list[Any], mixtures: tuple[np.ndarray, np.ndarray]) -> None:
    sampler: Any = posteriors.build("spectral_latent", flows, weight=0.3)
    mixture = mixtures[0]
    latents = 0.3 * tf.random.stateless_normal([4, 2, *sampler.event_shape], (1, 2))
    with tf.GradientTape() as tape:
        tape.watch(latents)
        total = tf.reduce_sum(objective(sampler, mixture, latents))
    observed = sampler.magnitudes(sampler.observe(mixture))
    found, magnitudes = sampler._gradient(observed, latents, sampler.first_weights(4))
    np.testing.assert_allclose(found, -tape.gradient(total, latents), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(magnitudes, sampler.magnitudes(sampler.decode(latents)), rtol=1e-5)


def test_it_descends_from_zero(flows: list[Any], mixtures: tuple[np.ndarray, np.ndarray]) -> None:
    """The first chain begins at zero, whatever the seed; Adam lowers the objective."""
    sampler: Any = posteriors.build("spectral_latent", flows, num_steps=60)
    mixture = mixtures[0]
    start = tf.zeros([4, 2, *sampler.event_shape])
    weights, features = sampler.run_chains(tf.constant(mixture), 1, tf.constant([3, 4]), None)
    again = sampler.run_chains(tf.constant(mixture), 1, tf.constant([5, 6]), None)[1]
    np.testing.assert_array_equal(features, again)
    latents = tf.stack(
        [flow.encode(each, sampler.level)[0][..., 0] for flow, each in zip(flows, _events(features), strict=True)],
        axis=1,
    )
    assert np.all(objective(sampler, mixture, latents) < 0.5 * objective(sampler, mixture, start))
    np.testing.assert_allclose(weights, np.full((4, 2), 0.5))


def _events(features: tf.Tensor) -> list[tf.Tensor]:
    return [each[..., tf.newaxis] for each in tf.unstack(features, axis=1)]


def test_a_start_begins_at_its_latents(flows: list[Any], mixtures: tuple[np.ndarray, np.ndarray]) -> None:
    mixture, sources = mixtures
    sampler: Any = posteriors.build("spectral_latent", flows, num_steps=1, step_size=1e-6)
    _, features = sampler.run_chains(tf.constant(mixture), 1, tf.constant([3, 4]), sources)
    wanted = tf.reshape(sampler.observe(tf.reshape(sources, [-1, LENGTH])), features.shape)
    np.testing.assert_allclose(features, wanted, atol=1e-3)


def test_a_source_alone_is_found(flows: list[Any]) -> None:
    """With one prior and no weight on its latents the mixture's own spectrum is the answer."""
    sampler: Any = posteriors.build("spectral_latent", flows[:1], weight=0.0, num_steps=300)
    wave = notes(PAIR[0], 2, LENGTH, 30)
    _, features = sampler.run_chains(tf.constant(wave), 1, tf.constant([0, 0]), None)
    observed = sampler.magnitudes(sampler.observe(wave))
    cost = divergence(observed, sampler.magnitudes(features)[:, 0], STFT.floor)
    assert np.all(cost < 0.05 * tf.reduce_sum(observed, [1, 2]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_steps": 0}, "num_steps must be at least 1 and step_size above 0, got 0 and 0.05"),
        ({"step_size": 0.0}, "num_steps must be at least 1 and step_size above 0, got .* and 0"),
        ({"weight": -1.0}, "weight and spread must be at least 0, got -1 and 0.1"),
        ({"spread": -1.0}, "weight and spread must be at least 0, got .* and -1"),
        ({"sigma": 2.0}, "noise levels of 'spectral_latent' must lie in the 0.01..1 .*, got 2..2"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], message: str, flows: list[Any]) -> None:
    with pytest.raises(InputError, match=message):
        posteriors.build("spectral_latent", flows, **settings)


def test_priors_without_latents_are_refused_with_what_serves(spectra_priors: Any) -> None:
    message = "moves latents, which prior 'spectra' does not have; use 'spectral_langevin'"
    with pytest.raises(InputError, match=message):
        posteriors.build("spectral_latent", spectra_priors(PAIR, STFT))
