"""Two orderings and two scores of the spectral RealNVP, its units, and the density of a signal that it can know."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep import priors
from tfsep.bijectors import RealFourier
from tfsep.priors.flows.spectral_layers import mean_power

SMALL: dict[str, Any] = {
    **{"length": 32, "num_levels": 2, "width": 8, "num_blocks": 1, "lower_width": 4, "context": 2, "local_width": 4},
    **{"num_neighbours": 3, "condition_width": 8, "sigma_range": (0.01, 8.0), "dtype": "float64"},
}
PITCHES = {"num_pitches": 4, "pitch_range": (1000.0, 5000.0), "num_partials": 12}
SIGMAS = np.array([0.05, 0.3, 2.0])


def scrambled(**changes: Any) -> Any:
    flow: Any = priors.build("spectral_realnvp", **SMALL, **changes)
    rng = np.random.default_rng(0)
    for weight in flow.trainable_variables:
        weight.assign(0.5 * rng.normal(size=weight.shape))
    return flow


@pytest.fixture(scope="module", params=[0, 4], ids=["neighbours", "pitches"])
def flow(request: pytest.FixtureRequest) -> Any:
    return scrambled(**(PITCHES if request.param else {}))


@pytest.fixture
def waves() -> tf.Tensor:
    return tf.constant(np.random.default_rng(1).normal(size=(3, 32, 1)))


def bins_of(wave: tf.Tensor, num_parts: int = 1) -> tf.Tensor:
    return RealFourier(tf.float64, num_parts).inverse_and_log_det(wave)[0]


def wave_of(bins: tf.Tensor, num_parts: int = 1) -> tf.Tensor:
    return RealFourier(tf.float64, num_parts).forward_and_log_det(bins)[0]


def test_scores_of_conditionals_are_gradients_of_each_half_in_its_own_bins(flow: Any, waves: tf.Tensor) -> None:
    """Of log p(odd | even) in the odd bins alone and of log p(even | odd) in the even ones, by differentiation."""
    bins = bins_of(waves, flow.num_parts)
    even, odd = bins[:, ::2], bins[:, 1::2]

    def joined(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
        return wave_of(tf.reshape(tf.stack([first, second], axis=2), [3, 16, 2]), flow.num_parts)

    with tf.GradientTape() as tape:
        tape.watch(odd)
        log_prob = flow.log_prob(joined(even, odd), SIGMAS)
    of_odd = tape.gradient(log_prob, odd)
    with tf.GradientTape() as tape:
        tape.watch(even)
        besides = flow.training_terms(joined(even, odd), SIGMAS)[1]
    of_even = tape.gradient(besides, even)
    score = bins_of(flow.score(waves, SIGMAS), flow.num_parts)
    np.testing.assert_allclose(score[:, 1::2], of_odd, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(score[:, ::2], of_even, rtol=1e-8, atol=1e-10)


def test_the_denoiser_is_a_wiener_filter_about_the_shift(flow: Any, waves: tf.Tensor) -> None:
    column = SIGMAS.reshape(3, 1, 1)
    np.testing.assert_allclose(flow.denoise(waves, SIGMAS), waves + column**2 * flow.score(waves, SIGMAS), rtol=1e-10)


def test_both_scores_agree_where_the_conditionals_are_known(waves: tf.Tensor) -> None:
    """Untrained, it is the Gaussian with a known power in every bin: its gradient is -X / (sigma^2 + P)."""
    scores = []
    for score_of in ("gradient", "conditionals"):
        flow: Any = priors.build("spectral_realnvp", **SMALL, score_of=score_of)
        flow.initialise(waves, 0.1)
        power = np.zeros((16, 2))
        first, second, last = (5.0 * layer.log_power.numpy() for layer in flow.flow.layers[1:4])
        power[1::2], power[2::4], power[::4] = first[0], second[0], last
        mirrored = np.exp(first[1]) - np.exp(power[::2])
        np.testing.assert_allclose(mirrored, 0.0, atol=1e-12)
        scores.append(flow.score(waves, SIGMAS).numpy())
        std = flow.data_std.numpy()
        variance = std**2 * np.exp(power) + SIGMAS.reshape(3, 1, 1) ** 2
        np.testing.assert_allclose(bins_of(tf.constant(scores[-1])), -bins_of(waves) / variance, rtol=1e-8)
    np.testing.assert_allclose(*scores, rtol=1e-8)


def test_they_differ_in_general(flow: Any, waves: tf.Tensor) -> None:
    assert np.abs(scrambled(score_of="gradient").score(waves, SIGMAS) - flow.score(waves, SIGMAS)).max() > 0.01
    assert flow.describe().endswith("score of conditionals (pseudo-likelihood)")


def test_units_of_sound_and_noise_move_the_density_by_their_jacobian(flow: Any, waves: tf.Tensor) -> None:
    louder = scrambled(**(PITCHES if flow.flow.layers[1].template else {}))
    louder.data_std.assign(3.0 * flow.data_std.numpy())
    terms = zip(louder.training_terms(3.0 * waves, 3.0 * SIGMAS), flow.training_terms(waves, SIGMAS), strict=True)
    for (new, old), dimensions in zip(terms, (32, 16), strict=True):
        np.testing.assert_allclose(new, old - dimensions * np.log(3.0), rtol=1e-10)
    np.testing.assert_allclose(louder.score(3.0 * waves, 3.0 * SIGMAS), flow.score(waves, SIGMAS) / 3.0, rtol=1e-9)


def test_turning_all_phases_leaves_the_density() -> None:
    """A shift of time within a stationary sound; the bin of frequency 0 and L / 2 has no phase and stays."""
    flow = scrambled()
    flow.flow.layers[1].log_power.assign(np.zeros((2, 8, 2)))
    for layer in flow.flow.layers[2:4]:
        layer.log_power.assign(np.zeros(layer.log_power.shape))
    bins = bins_of(tf.constant(np.random.default_rng(1).normal(size=(3, 32, 1)))).numpy()
    bins[:, 0] = 0.0
    turned = np.stack([0.6 * bins[..., 0] - 0.8 * bins[..., 1], 0.8 * bins[..., 0] + 0.6 * bins[..., 1]], axis=-1)
    one, other = (flow.log_prob(wave_of(tf.constant(each)), SIGMAS) for each in (bins, turned))
    np.testing.assert_allclose(one, other, rtol=1e-10)


def test_the_mean_power_is_that_of_the_clean_bins() -> None:
    rng = np.random.default_rng(0)
    power = np.repeat([[0.01, 4.0], [2.0, 2.0], [0.5, 0.5]], [1, 40, 40], axis=0)
    sigma = rng.uniform(0.05, 0.5, 4096)
    noise = sigma[:, np.newaxis, np.newaxis] * rng.normal(size=(4096, 81, 2))
    bins = np.sqrt(power) * rng.normal(size=(4096, 81, 2)) + noise
    found = mean_power(tf.constant(bins), tf.constant(sigma)).numpy()
    np.testing.assert_allclose(found[[0, 10, 20, 60, 70]], power[[0, 10, 20, 60, 70]], rtol=0.1, atol=0.01)
