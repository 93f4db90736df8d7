"""The Gaussian prior against numpy's covariance matrices, and as a Wiener filter of what it was fitted to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from scipy import linalg, stats

from tfsep import priors
from tfsep.errors import InputError

SIGMA = 0.6
CASES: dict[str, dict[str, Any]] = {
    "even": {"length": 6, "spectrum": [1.0, 0.5, 2.0, 0.1], "mean": 0.3},
    "odd": {"length": 5, "spectrum": [1.0, 0.0, 2.0]},
    "each": {"length": 3, "variances": [1.0, 0.0, 4.0], "mean": [1.0, 2.0, 3.0]},
    "all": {"length": 4, "variances": 0.7},
}


def power_spectrum(waves: np.ndarray) -> list[float]:
    """The mean power of waves (batch, time) in each bin: the spectrum that fits them best."""
    return np.mean(np.abs(np.fft.rfft(waves, norm="ortho")) ** 2, axis=0).tolist()


def covariance_of(length: int, settings: dict[str, Any]) -> np.ndarray:
    if "variances" in settings:
        return np.diag(np.broadcast_to(settings["variances"], length))
    return linalg.circulant(np.fft.irfft(settings["spectrum"], length))


@pytest.fixture(scope="module", params=sorted(CASES))
def known(request: pytest.FixtureRequest) -> tuple[Any, np.ndarray, np.ndarray]:
    settings = CASES[request.param]
    prior = priors.build("gaussian", dtype="float64", **settings)
    length = settings["length"]
    return prior, np.broadcast_to(settings.get("mean", 0.0), length), covariance_of(length, settings)


def test_the_density_is_that_of_the_covariance(known: Any) -> None:
    prior, mean, covariance = known
    y = np.random.default_rng(0).normal(size=(4, len(mean)))
    expected = stats.multivariate_normal.logpdf(y, mean, covariance + SIGMA**2 * np.eye(len(mean)))
    np.testing.assert_allclose(prior.log_prob(y[..., np.newaxis], SIGMA), expected, rtol=1e-10)


def test_draws_given_noised_events_have_the_exact_mean_and_covariance(known: Any) -> None:
    prior, mean, covariance = known
    y = np.random.default_rng(1).normal(size=len(mean))
    shrink = covariance @ np.linalg.inv(covariance + SIGMA**2 * np.eye(len(mean)))
    expected = mean + shrink @ (y - mean)
    np.testing.assert_allclose(prior.denoise(y[np.newaxis, :, np.newaxis], SIGMA)[0, :, 0], expected, atol=1e-12)
    many = np.broadcast_to(y[:, np.newaxis], (40000, len(mean), 1))
    drawn = prior.posterior_sample(many, SIGMA, (0, 1)).numpy()[..., 0]
    np.testing.assert_allclose(drawn.mean(0), expected, atol=0.015)
    np.testing.assert_allclose(np.cov(drawn.T), SIGMA**2 * shrink, atol=0.015)


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_change_of_units_is_its_jacobian(name: str) -> None:
    settings, factor = CASES[name], 3.0
    spread = "spectrum" if "spectrum" in settings else "variances"
    scaled = {spread: np.multiply(settings[spread], factor**2).tolist()}
    scaled["mean"] = np.multiply(settings.get("mean", 0.0), factor).tolist()
    one, other = (priors.build("gaussian", dtype="float64", **each) for each in (settings, {**settings, **scaled}))
    x = np.random.default_rng(1).normal(size=(4, settings["length"], 1))
    expected = one.log_prob(x, SIGMA) - settings["length"] * np.log(factor)
    np.testing.assert_allclose(other.log_prob(factor * x, factor * SIGMA), expected, rtol=1e-10)


def test_latents_are_white_and_lead_back(known: Any) -> None:
    prior, mean, covariance = known
    x = prior.sample(20000, (2, 3), SIGMA)
    np.testing.assert_allclose(np.cov(x[..., 0].numpy().T), covariance + SIGMA**2 * np.eye(len(mean)), atol=0.12)
    z, log_det = prior.encode(x, SIGMA)
    exact = -0.5 * np.linalg.slogdet(covariance + SIGMA**2 * np.eye(len(mean)))[1]
    np.testing.assert_allclose(log_det, np.full(20000, exact), rtol=1e-8)
    np.testing.assert_allclose(np.cov(z[..., 0].numpy().T), np.eye(len(mean)), atol=0.04)
    np.testing.assert_allclose(prior.decode(tf.identity(z), SIGMA), x, atol=1e-12)


@pytest.mark.parametrize("length", [32, 33])
def test_a_fitted_spectrum_makes_the_wiener_filter(length: int) -> None:
    """It denoises tones in noise better than any gain common to all bins could."""
    rng = np.random.default_rng(3)
    phase = rng.uniform(0, 2 * np.pi, (256, 1))
    waves = np.sin(2 * np.pi * 4 / length * np.arange(length) + phase)
    prior = priors.build("gaussian", length=length, spectrum=power_spectrum(waves), dtype="float64")
    noised = waves + rng.normal(size=waves.shape)
    error = np.mean((prior.denoise(noised[..., np.newaxis], 1.0)[..., 0] - waves) ** 2)
    assert error < 0.2 * (0.5 / 1.5)


def test_white_noise_has_its_variance_in_every_bin() -> None:
    prior = priors.build("gaussian", length=7, spectrum=[0.25] * 4, dtype="float64", smallest_sigma=1e-6)
    drawn = prior.sample(20000, (0, 1)).numpy()[..., 0]
    np.testing.assert_allclose(power_spectrum(drawn), [0.25] * 4, atol=0.01)
    np.testing.assert_allclose(np.cov(drawn.T), 0.25 * np.eye(7), atol=0.01)


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({}, "either spectrum or variances is needed, and not both"),
        ({"spectrum": [1.0] * 3, "variances": 1.0}, "either spectrum or variances is needed, and not both"),
        ({"spectrum": [1.0] * 4}, r"spectrum must be one finite number or 3 of them, got shape \(4,\)"),
        ({"variances": [1.0] * 3}, r"variances must be one finite number or 4 of them, got shape \(3,\)"),
        ({"variances": -1.0}, "variances must be at least 0, got -1"),
        ({"variances": float("nan")}, "variances must be one finite number"),
        ({"variances": 1.0, "mean": [0.0]}, r"mean must be one finite number or 4 of them, got shape \(1,\)"),
        ({"variances": 1.0, "smallest_sigma": 0.0}, "smallest_sigma must be positive, got 0.0"),
        ({"variances": 1.0, "domain": "log_stft", "length": 1024}, "a density over waves"),
    ],
)
def test_settings_that_make_no_gaussian_are_refused(settings: dict[str, Any], rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        priors.build("gaussian", **{"length": 4, **settings})
