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
from tfsep.posteriors.spectral import explained

Spectra = Callable[..., list[Any]]


@pytest.fixture(scope="module")
def mixtures() -> tuple[np.ndarray, np.ndarray]:
    """Eight mixtures (8, time), the mean of two sources, and the sources (8, 2, time)."""
    sources = np.stack([notes(kind, 8, LENGTH, 10 + seed) for seed, kind in enumerate(PAIR)], axis=1)
    return sources.mean(axis=1), sources


def test_it_separates_from_noise(spectra_priors: Spectra, mixtures: tuple[np.ndarray, np.ndarray]) -> None:
    mixture, sources = mixtures
    sampler = posteriors.build("spectral_langevin", spectra_priors(PAIR, STFT), **WIDE)
    assert not sampler.is_sampler and gained(sampler.sample(mixture, 1, (0, 0)), sources, mixture).min() > 14.0


def test_a_start_is_kept(spectra_priors: Spectra, mixtures: tuple[np.ndarray, np.ndarray]) -> None:
    """At its state's likelihood too: near the truth both kinds of guidance agree."""
    mixture, sources = mixtures
    for guidance in ("denoised", "state"):
        settings = {"start_sigma": 0.1, "guidance": guidance, "num_restarts": 1}
        sampler = posteriors.build("spectral_langevin", spectra_priors(PAIR, STFT), **settings)
        found = sampler.sample(mixture, 2, (0, 0), start=sources)
        assert found.shape == (2, 8, 2, LENGTH) and gained(found, sources, mixture).min() > 10.0


def test_gradient_and_curvature_are_those_of_the_likelihood(spectra_priors: Spectra) -> None:
    """Along each source's features; where the sources explain the mixture, the curvature is at most one."""
    sampler: Any = posteriors.build("spectral_langevin", spectra_priors(PAIR, STFT))
    front_end, rng = sampler.front_end, np.random.default_rng(0)
    centre = tf.constant(rng.uniform(0.0, 1.0, (1, 2, *sampler.event_shape)), tf.float32)
    weights = tf.constant([[0.7, 0.2]])

    def of(values: tf.Tensor) -> tf.Tensor:
        return front_end.to_features(explained(weights, sampler.magnitudes(values)))[..., 0]

    there = of(centre)
    observed = there + 0.05 * rng.normal(size=there.shape).astype(np.float32)
    with tf.GradientTape() as tape:
        tape.watch(centre)
        value = -0.5 * tf.reduce_sum((observed - of(centre)) ** 2)
    gradient = sampler.likelihood_gradient(observed, weights, centre)
    np.testing.assert_allclose(gradient, tape.gradient(value, centre), rtol=1e-2, atol=1e-3)
    direction = tf.constant(rng.normal(size=centre.shape), tf.float32)
    with tf.GradientTape() as outer:
        outer.watch(centre)
        with tf.GradientTape() as inner:
            inner.watch(centre)
            value = 0.5 * tf.reduce_sum((there - of(centre)) ** 2)
        along = tf.reduce_sum(inner.gradient(value, centre) * direction)
    curvature = tf.reduce_sum(outer.gradient(along, centre) * direction, axis=1)
    assert np.all(curvature <= tf.reduce_sum(direction**2, axis=1) * (1.0 + 1e-3) + 1e-3)


def test_states_keep_the_noise_of_their_level(spectra_priors: Spectra) -> None:
    """Whatever the step: the noise is that at which the priors are evaluated."""
    known, sigma = spectra_priors(PAIR, STFT), 40.0
    mixture = notes("sine", 8, LENGTH, 0)
    for step_size in (0.05, 0.39):
        settings = {"num_levels": 1, "num_steps": 40, "step_size": step_size}
        sampler: Any = posteriors.build(
            "spectral_langevin", known, largest_sigma=sigma, smallest_sigma=sigma, **settings
        )
        observed = sampler.observe(tf.constant(mixture))
        noise = tf.random.stateless_normal([8, 2, *sampler.event_shape], (1, 2))
        state = sampler.begin(observed, noise, None, None, sigma)
        values, weights = sampler.run(observed, state, tf.constant([sigma]), tf.constant([3, 4]), tf.constant([0, 1]))
        rest = values - sampler.means(values, sigma)
        assert float(tf.math.reduce_std(rest)) == pytest.approx(sigma, rel=0.03)


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
        ({"guidance": "mean"}, "guidance must be one of denoised, state, got 'mean'"),
        ({"num_steps": 0}, "num_steps must be at least 1 and likelihood_ratio above 0, got 0 and 0.5"),
        ({"likelihood_ratio": 0.0}, "num_steps must be at least 1 and likelihood_ratio above 0, got 2 and 0"),
        ({"step_size": 0.4}, "stable only while .* lies in 0..2, got 2 from step_size 0.4 and likelihood_ratio 0.5"),
        ({"step_size": 0.0}, "stable only while .* lies in 0..2, got 0 from step_size 0 and likelihood_ratio 0.5"),
        ({"largest_sigma": 200.0}, "noise levels of 'spectral_langevin' must lie in the 0.01..100 .*, got 0.05..200"),
        ({"start_sigma": 2.0}, "start_sigma must lie in the schedule's 0.05..1, got 2"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], message: str, spectra_priors: Spectra) -> None:
    with pytest.raises(InputError, match=message):
        posteriors.build("spectral_langevin", spectra_priors(PAIR, STFT), **settings)


def test_a_denoiser_among_other_sounds_is_refused() -> None:
    """Its background makes it no gradient of a density."""
    known = priors.build(
        "score", "log_stft", length=LENGTH, front_end=FRAMES, network="convolutions", width=4, background=True
    )
    with pytest.raises(InputError, match="follows scores of noised densities"):
        posteriors.build("spectral_langevin", [known, known], largest_sigma=0.5)
