"""What a prior of any kind gets from the interface, on a Gaussian that is known in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep.audio import front_end
from tfsep.errors import InputError
from tfsep.priors.base import Prior, broadcast_to_event, per_example_sigma


class Gaussian(Prior):
    """Samples of variance 4, independent; only the abstract methods are its own."""

    kind, domain, event_shape = "gaussian", "wave", (6, 1)
    smallest_sigma = 0.1
    front_end = front_end.build("wave")

    def _variance(self, x: tf.Tensor, sigma: Any) -> tf.Tensor:
        sigma = per_example_sigma(self.smallest_sigma if sigma is None else sigma, x)
        return broadcast_to_event(4.0 + sigma**2, x)

    def log_prob(self, x: Any, sigma: Any = None) -> tf.Tensor:
        x = tf.convert_to_tensor(x)
        variance = self._variance(x, sigma)
        return -0.5 * tf.reduce_sum(x**2 / variance + tf.math.log(2.0 * np.pi * variance), [1, 2])

    def score(self, x: Any, sigma: Any = None) -> tf.Tensor:
        x = tf.convert_to_tensor(x)
        return -x / self._variance(x, sigma)

    def sample(self, num: int, seed: Any, sigma: Any = None) -> tf.Tensor:
        return tf.random.stateless_normal((num, 6, 1), seed)


X = np.random.default_rng(0).normal(size=(3, 6, 1))


def test_denoising_is_the_posterior_mean() -> None:
    sigma = np.array([0.1, 1.0, 3.0])
    shrink = 4.0 / (4.0 + sigma**2)
    np.testing.assert_allclose(Gaussian().denoise(X, sigma), shrink[:, None, None] * X, rtol=1e-12)
    np.testing.assert_allclose(Gaussian().denoise(X, None), X * 4.0 / 4.01, rtol=1e-12)


def test_rates_are_per_dimension() -> None:
    prior = Gaussian()
    np.testing.assert_allclose(prior.nats_per_dim(X), prior.log_prob(X) / 6.0)
    np.testing.assert_allclose(prior.bits_per_dim(X), -prior.log_prob(X) / 6.0 / np.log(2.0))


def test_waves_become_events_of_the_domain() -> None:
    np.testing.assert_array_equal(Gaussian().analyse(tf.constant(X[..., 0])), X)


def test_a_prior_describes_what_its_numbers_belong_to() -> None:
    prior = Gaussian()
    assert repr(prior) == "<gaussian over wave events (6, 1), 6 dimensions, noise 0.1 to inf>"
    prior.has_log_prob = False
    assert prior.describe().endswith("noise 0.1 to inf, score only")


def test_initialisation_is_optional() -> None:
    Gaussian().initialise(X, 0.1)


def test_what_a_prior_cannot_do_is_refused_with_its_name() -> None:
    prior = Gaussian()
    assert not prior.has_posterior_sample and not prior.has_latents
    with pytest.raises(InputError, match="prior 'gaussian' has no exact draw of clean events"):
        prior.posterior_sample(X, 0.1, (0, 0))
    for method in (prior.encode, prior.decode):
        with pytest.raises(InputError, match="prior 'gaussian' has no latents"):
            method(X)


def test_events_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"events of gaussian have shape \(6, 1\), got \(5, 1\)"):
        Gaussian().check_events(tf.zeros((2, 5, 1)))


@pytest.mark.parametrize("sigma", [0.3, np.float64(0.3), [0.3, 0.3, 0.3], tf.constant])
def test_sigma_takes_any_form(sigma: Any) -> None:
    given = tf.constant(0.3) if sigma is tf.constant else sigma
    for dtype in (tf.float32, tf.float64):
        found = per_example_sigma(given, tf.zeros((3, 6, 1), dtype))
        assert found.dtype == dtype and found.shape == (3,)
        np.testing.assert_allclose(found, 0.3, rtol=1e-7)


def test_a_plain_number_is_not_rounded_on_the_way() -> None:
    assert float(per_example_sigma(0.3, tf.zeros((1, 6, 1), tf.float64))[0]) == 0.3
