"""Annealed Langevin dynamics over magnitudes: it separates, its gradients and bounds are those of its mathematics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.known_priors import notes
from tests.posteriors.test_spectral import FRAMES, LENGTH, PAIR, STFT, WIDE, gained
from tfsep import posteriors, priors
from tfsep.errors import InputError
from tfsep.posteriors.spectral import divergence

Spectra = Callable[..., list[Any]]


@pytest.fixture(scope="module")
def mixtures() -> tuple[np.ndarray, np.ndarray]:
    """Eight mixtures (8, time), the mean of two sources, and the sources (8, 2, time)."""
    sources = np.stack([notes(kind, 8, LENGTH, 10 + seed) for seed, kind in enumerate(PAIR)], axis=1)
    return sources.mean(axis=1), sources


@pytest.mark.parametrize("settings", [{}, {"likelihood": "poisson", "likelihood_ratio": 1.0}], ids=str)
def test_it_separates_from_noise(
    settings: dict[str, Any], spectra_priors: Spectra, mixtures: tuple[np.ndarray, np.ndarray]
) -> None:
    mixture, sources = mixtures
    sampler = posteriors.build("spectral_langevin", spectra_priors(PAIR, STFT), **WIDE, **settings)
    assert gained(sampler.sample(mixture, 1, (0, 0)), sources, mixture).min() > 10.0


def test_a_start_is_kept(spectra_priors: Spectra, mixtures: tuple[np.ndarray, np.ndarray]) -> None:
    """At its state's likelihood too: near the truth both kinds of guidance agree."""
    mixture, sources = mixtures
    for guidance in ("denoised", "state"):
        settings = {"start_sigma": 0.1, "guidance": guidance, "num_restarts": 1}
        sampler = posteriors.build("spectral_langevin", spectra_priors(PAIR, STFT), **settings)
        found = sampler.sample(mixture, 2, (0, 0), start=sources)
        assert found.shape == (2, 8, 2, LENGTH) and gained(found, sources, mixture).min() > 10.0


@pytest.mark.parametrize("likelihood", ["log_normal", "poisson"])
def test_gradient_and_curvature_are_those_of_the_likelihood(likelihood: str, spectra_priors: Spectra) -> None:
    """Along each source's features, and the curvature along all of them where the sources explain the mixture."""
    sampler: Any = posteriors.build("spectral_langevin", spectra_priors(PAIR, STFT), likelihood=likelihood)
    front_end, rng = sampler.front_end, np.random.default_rng(0)
    centre = tf.constant(rng.uniform(0.0, 1.0, (1, 2, *sampler.event_shape)), tf.float32)
    weights = sampler.first_weights(1)
    mixed = tf.reduce_sum(0.5 * sampler.magnitudes(centre), axis=1)
    there = front_end.to_features(mixed)[..., 0]

    def log_likelihood(values: tf.Tensor, observed: tf.Tensor) -> tf.Tensor:
        found = tf.reduce_sum(0.5 * sampler.magnitudes(values), axis=1)
        if likelihood == "log_normal":
            return -0.5 * tf.reduce_sum((observed - front_end.to_features(found)[..., 0]) ** 2)
        return -tf.reduce_sum(divergence(sampler.magnitudes(observed), found, front_end.floor))

    observed = there + 0.05 * rng.normal(size=there.shape).astype(np.float32)
    with tf.GradientTape() as tape:
        tape.watch(centre)
        value = log_likelihood(centre, observed)
    gradient, _ = sampler.likelihood_gradient(observed, centre, weights)
    np.testing.assert_allclose(gradient, tape.gradient(value, centre), rtol=2e-2, atol=2e-2)
    with tf.GradientTape() as outer:
        outer.watch(centre)
        with tf.GradientTape() as inner:
            inner.watch(centre)
            value = log_likelihood(centre, there)
        slope = inner.gradient(value, centre)
        along = tf.reduce_sum(slope, axis=1)
    second = -outer.gradient(along, centre)
    _, curvature = sampler.likelihood_gradient(there, centre, weights)
    assert np.all(second <= np.broadcast_to(curvature, second.shape) * (1.0 + 1e-3) + 1e-3)
    assert np.max(second / curvature) > 0.3


def test_states_beyond_what_a_mixture_holds_are_clipped(spectra_priors: Spectra) -> None:
    sampler: Any = posteriors.build("spectral_langevin", spectra_priors(PAIR, STFT))
    observed = sampler.observe(notes("sine", 1, LENGTH, 0))
    wild = tf.constant([-50.0, 50.0])[tf.newaxis, :, tf.newaxis, tf.newaxis] * tf.ones((1, 2, *sampler.event_shape))
    low, high = tf.unstack(sampler.bounded(wild, observed, sampler.first_weights(1))[0])
    np.testing.assert_allclose(low, STFT.silence, rtol=1e-6)
    np.testing.assert_allclose(sampler.magnitudes(high), 2.0 * tf.reduce_max(sampler.magnitudes(observed)), rtol=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"likelihood": "gaussian"}, "likelihood must be one of log_normal, poisson, got 'gaussian'"),
        ({"guidance": "mean"}, "guidance must be one of denoised, state, got 'mean'"),
        ({"num_steps": 0}, "num_steps must be at least 1 and likelihood_ratio above 0, got 0 and 0.25"),
        ({"likelihood_ratio": 0.0}, "num_steps must be at least 1 and likelihood_ratio above 0, got 5 and 0"),
        ({"step_size": 2.0}, "stable only while step_size times curvature lies in 0..2, got 2"),
        ({"largest_sigma": 200.0}, "noise levels of 'spectral_langevin' must lie in the 0.01..100 .*, got 0.05..200"),
        ({"start_sigma": 2.0}, "start_sigma must lie in the schedule's 0.05..1, got 2"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], message: str, spectra_priors: Spectra) -> None:
    with pytest.raises(InputError, match=message):
        posteriors.build("spectral_langevin", spectra_priors(PAIR, STFT), **settings)


def test_a_denoiser_among_other_sounds_is_refused() -> None:
    """Its background makes it no gradient of a density."""
    known = priors.build("score", "log_stft", length=LENGTH, front_end=FRAMES, width=4, num_blocks=1, background=True)
    with pytest.raises(InputError, match="follows scores of noised densities"):
        posteriors.build("spectral_langevin", [known, known], largest_sigma=0.5)
