"""What training lowers, against closed forms and numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import norm

from tfsep import priors
from tfsep.audio.front_end import WaveFrontEnd
from tfsep.errors import InputError
from tfsep.priors.base import Prior, broadcast_to_event, per_example_sigma
from tfsep.training import prior_objectives

SEED = (4, 2)


class White(Prior):
    """Waves of independent standard normal samples."""

    kind, domain = "white", "wave"
    front_end = WaveFrontEnd()
    smallest_sigma = 0.0

    def __init__(self, length: int, sigma_range: tuple[float, float] | None = None) -> None:
        self.event_shape, self.sigma_range = (length, 1), sigma_range

    def _variance(self, x: Any, sigma: Any) -> tf.Tensor:
        return tf.ones_like(x) if sigma is None else 1.0 + broadcast_to_event(per_example_sigma(sigma, x), x) ** 2

    def log_prob(self, x: Any, sigma: Any = None) -> tf.Tensor:
        variance = self._variance(x, sigma)
        return tf.reduce_sum(-0.5 * x**2 / variance - 0.5 * tf.math.log(2 * np.pi * variance), axis=[1, 2])

    def score(self, x: Any, sigma: Any = None) -> tf.Tensor:
        return -x / self._variance(x, sigma)

    def sample(self, num: int, seed: Any, sigma: Any = None) -> tf.Tensor:
        raise NotImplementedError


def waves(batch: int, time: int = 50) -> tf.Tensor:
    return tf.random.stateless_normal((batch, time), (1, 1))


def test_a_clean_prior_gets_clean_events() -> None:
    wave = waves(3)
    events, sigma = prior_objectives.noised(White(50), wave, tf.constant(SEED))
    assert sigma is None
    np.testing.assert_array_equal(events[..., 0], wave)


def test_noise_has_its_level_and_levels_are_log_uniform() -> None:
    prior = White(50, (0.01, 2.0))
    wave = waves(2000)
    events, sigma = prior_objectives.noised(prior, wave, tf.constant(SEED))
    assert sigma.shape == (2000,) and events.shape == (2000, 50, 1)
    position = np.log(sigma.numpy() / 0.01) / np.log(200)
    assert 0 <= position.min() < 0.01 and 0.99 < position.max() <= 1.0
    assert np.histogram(position, 5, (0, 1))[0].min() > 0.16 * 2000
    noise = (events[..., 0] - wave).numpy() / sigma.numpy()[:, np.newaxis]
    assert noise.std() == pytest.approx(1.0, abs=0.02) and abs(noise.mean()) < 0.02
    assert abs(np.corrcoef(position, noise[:, 0])[0, 1]) < 0.08
    assert abs(np.corrcoef(position, np.abs(noise).mean(-1))[0, 1]) < 0.08


def test_noise_follows_the_seed() -> None:
    prior, wave = White(50, (0.01, 2.0)), waves(4)
    first = prior_objectives.noised(prior, wave, tf.constant(SEED))
    again = prior_objectives.noised(prior, wave, tf.constant(SEED))
    other = prior_objectives.noised(prior, wave, tf.constant((5, 2)))
    for one, same, different in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(one, same)
        assert np.abs(one.numpy() - different.numpy()).min() > 0


@pytest.mark.parametrize("sigma_range", [None, (0.5, 0.5001), (0.01, 2.0)])
def test_maximum_likelihood_is_the_density_of_what_is_seen(sigma_range: tuple[float, float] | None) -> None:
    prior, wave = White(50, sigma_range), waves(400)
    loss, metrics = prior_objectives.maximum_likelihood(prior, wave, tf.constant(SEED))
    events, sigma = prior_objectives.noised(prior, wave, tf.constant(SEED))
    std = np.sqrt(1 + (0.0 if sigma is None else sigma.numpy()[:, np.newaxis] ** 2))
    np.testing.assert_allclose(loss, -norm.logpdf(events.numpy()[..., 0], scale=std).mean(), rtol=1e-5)
    np.testing.assert_array_equal(metrics["nats_per_dim_wave"], -loss)
    # Nothing codes a Gaussian with fewer nats than its entropy.
    assert float(loss) == pytest.approx(np.mean(0.5 * np.log(2 * np.pi * np.e * std**2)), abs=0.02)


def test_a_background_takes_the_place_of_noise_at_its_level() -> None:
    prior, wave, background = White(50, (0.01, 2.0)), waves(40), tf.random.stateless_normal((40, 50), (2, 2))
    events, noisy, sigma = prior_objectives.noised_pair(prior, (wave, background), tf.constant(SEED))
    np.testing.assert_array_equal(events[..., 0], wave)
    np.testing.assert_allclose(noisy[..., 0], wave + sigma[:, tf.newaxis] * background, rtol=1e-5)
    np.testing.assert_array_equal(sigma, prior_objectives.noised(prior, wave, tf.constant(SEED))[1])
    assert np.abs(prior_objectives.noised_pair(prior, wave, tf.constant(SEED))[1] - noisy).max() > 0.1


class Shrink:
    """A denoiser of white noise of unit variance that multiplies by a gain."""

    has_log_prob, event_shape, domain = False, (50, 1), "wave"

    def __init__(self, gain: float, sigma_range: tuple[float, float]) -> None:
        self.gain, self.sigma_range = gain, sigma_range

    def analyse(self, wave: tf.Tensor) -> tf.Tensor:
        return wave[..., tf.newaxis]

    def denoise(self, x: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
        return self.gain * x

    def loss_weight(self, sigma: tf.Tensor) -> tf.Tensor:
        return (sigma**2 + 1.0) / sigma**2


def test_denoising_score_matching_has_its_optimum_at_the_posterior_mean() -> None:
    """Of N(0, I) under noise of 0.5: y / 1.25. Its weighted error there is one, F having nothing to predict."""
    wave, best = waves(2000), 1.0 / 1.25
    gains = best + np.array([-0.06, -0.02, 0.0, 0.02, 0.06])
    found = [
        prior_objectives.denoising_score_matching(Shrink(g, (0.5, 0.5001)), wave, tf.constant(SEED)) for g in gains
    ]
    losses = [float(loss) for loss, _ in found]
    assert int(np.argmin(losses)) == 2
    assert float(found[2][1]["weighted_mse_wave"]) == pytest.approx(1.0, abs=0.02)


def test_noise_levels_count_alike_in_denoising_score_matching() -> None:
    """The best denoiser's weighted error is one at each of them."""
    for sigma in (0.05, 4.0):
        prior = Shrink(1.0 / (1.0 + sigma**2), (sigma, 1.0001 * sigma))
        _, metrics = prior_objectives.denoising_score_matching(prior, waves(400), tf.constant(SEED))
        assert float(metrics["weighted_mse_wave"]) == pytest.approx(1.0, abs=0.03)
        assert float(metrics["log_weighted_mse_wave"]) == pytest.approx(0.0, abs=0.05)


def test_a_prior_is_trained_on_its_density_where_it_has_one() -> None:
    with_density = prior_objectives.prior_objective(White(50, (0.1, 1.0)), waves(4), tf.constant(SEED))[1]
    without = prior_objectives.prior_objective(Shrink(0.5, (0.1, 1.0)), waves(4), tf.constant(SEED))[1]
    assert set(with_density) == {"nats_per_dim_wave"}
    assert set(without) == {"weighted_mse_wave", "log_weighted_mse_wave"}


def test_a_flow_is_initialised_from_events_that_carry_noise() -> None:
    flow = priors.build("glow", length=64, squeeze=4, num_levels=1, num_steps=1, width=8, num_layers=1)
    wave = 0.2 * waves(256, 64)
    prior_objectives.initialise_prior(flow, wave, tf.constant(SEED))
    assert float(tf.convert_to_tensor(flow.data_std)) == pytest.approx(0.2, rel=0.1)
    latent, _ = flow.encode(*prior_objectives.noised(flow, wave, tf.constant(SEED)))
    assert np.std(latent) == pytest.approx(1.0, abs=0.05)


def test_matching_gradients_weighs_the_likelihood_beside_the_logarithm_of_the_error() -> None:
    """Of N(0, I): the gradient's denoiser is y / (1 + sigma^2), whose error is sigma^2 / (1 + sigma^2)."""
    prior, sigma = White(50, (0.5, 0.5001)), 0.5
    loss, metrics = prior_objectives.gradient_matching(0.3)(prior, waves(2000), tf.constant(SEED))
    error = 1.0 / (1.0 + sigma**2)
    assert float(metrics["log_error_wave"]) == pytest.approx(np.log(error + 0.002), abs=0.03)
    assert float(metrics["nats_per_dim_wave"]) == pytest.approx(-0.5 * np.log(2.0 * np.pi * np.e * 1.25), abs=0.01)
    expected = metrics["log_error_wave"] - 0.3 * metrics["nats_per_dim_wave"]
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    with pytest.raises(InputError, match="at least 0, got -1"):
        prior_objectives.gradient_matching(-1.0)
    with pytest.raises(InputError, match="a clean prior"):
        prior_objectives.gradient_matching()(White(50), waves(2), tf.constant(SEED))


def test_the_denoiser_counts_beside_the_likelihood() -> None:
    """Of N(0, I): the posterior mean is y / (1 + sigma^2), whose error is sigma^2 / (1 + sigma^2)."""
    prior, sigma = White(50, (0.5, 0.5001)), 0.5
    loss, metrics = prior_objectives.denoising_likelihood(0.3)(prior, waves(2000), tf.constant(SEED))
    assert float(metrics["log_error_wave"]) == pytest.approx(np.log(sigma**2 / (1.0 + sigma**2)), abs=0.03)
    assert float(metrics["nats_per_dim_wave"]) == pytest.approx(-0.5 * np.log(2.0 * np.pi * np.e * 1.25), abs=0.01)
    np.testing.assert_allclose(loss, 0.3 * metrics["log_error_wave"] - metrics["nats_per_dim_wave"], rtol=1e-6)
    with pytest.raises(InputError, match="above 0, got 0"):
        prior_objectives.denoising_likelihood(0.0)
    with pytest.raises(InputError, match="a clean prior"):
        prior_objectives.denoising_likelihood(0.3)(White(50), waves(2), tf.constant(SEED))


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("glow", {"squeeze": 4, "num_levels": 2, "num_layers": 1}),
        ("realnvp", {"squeeze": 4, "num_layers": 1, "ordered": True, "score_of": "conditionals"}),
        ("lifting", {"squeeze": 4, "num_levels": 1, "local_width": 4, "trunk": {"width": 4, "num_layers": 1}}),
    ],
)
def test_second_derivatives_of_flows_are_right(kind: str, settings: dict[str, Any]) -> None:
    """The slope of the loss along a direction of the weights, against differences."""
    flow: Any = priors.build(kind, length=64, num_steps=2, width=4, sigma_range=(0.1, 1.0), dtype="float64", **settings)
    rng = np.random.default_rng(0)
    flow.set_weights([weight + 0.2 * rng.normal(size=weight.shape) for weight in flow.get_weights()])
    flow.data_std.assign(0.5)
    direction = [rng.normal(size=weight.shape) for weight in flow.trainable_variables]
    objective, wave = prior_objectives.gradient_matching(), tf.cast(waves(4, 64), tf.float64)

    def loss(step: float) -> Any:
        for weight, change in zip(flow.trainable_variables, direction, strict=True):
            weight.assign_add(step * change)
        with tf.GradientTape() as tape:
            value = objective(flow, wave, tf.constant(SEED))[0]
        gradients = tape.gradient(value, [weight.value for weight in flow.trainable_variables])
        for weight, change in zip(flow.trainable_variables, direction, strict=True):
            weight.assign_sub(step * change)
        assert all(gradient is not None for gradient in gradients)
        return float(value), sum(np.sum(g * change) for g, change in zip(gradients, direction, strict=True))

    step = 1e-5
    rise = (loss(step)[0] - loss(-step)[0]) / (2.0 * step)
    assert abs(rise) > 1e-3 and loss(0.0)[1] == pytest.approx(rise, rel=1e-4)
