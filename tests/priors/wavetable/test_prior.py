"""The wavetable prior against dense grids of pitches, decays and phases in float64; its draws."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from scipy.special import logsumexp

from tfsep import priors
from tfsep.models import weights
from tfsep.priors.positive_amplitude import log_likelihood
from tfsep.priors.wavetable.inference import categorical

RESIDUAL = 0.05


def wavetable(length: int, **settings: Any) -> Any:
    common = {"pitch_range": (400.0, 2000.0), "num_pitches": 3, "num_phases": 16, "table_size": 256}
    return priors.build("wavetable", length=length, **{"dtype": "float64", **common, **settings})


def graph(method: Callable[..., Any], prior: Any) -> Callable[..., np.ndarray]:
    """A method of (events, sigma), traced once for any batch."""
    signature = [tf.TensorSpec([None, *prior.event_shape], prior.tf_dtype), tf.TensorSpec([], prior.tf_dtype)]
    traced = tf.function(method, input_signature=signature, autograph=False)
    return lambda x, sigma: traced(tf.cast(x, prior.tf_dtype), tf.constant(sigma, prior.tf_dtype)).numpy()


def dense(prior: Any, y: np.ndarray, sigma: float, phases: int, pitches: int, decays: int) -> tuple[float, np.ndarray]:
    """log p(y) and the denoised event by plain sums over middles of fine cells."""
    grid = prior.grid
    middle = [(np.arange(count) + 0.5) / count - 0.5 for count in (pitches, phases, decays)]
    frequency = (prior.frequency.numpy()[:, None] + grid.pitch_width * middle[0]).ravel()
    log_rate = (prior.log_rate.numpy()[:, None] + grid.decay_width * middle[2]).ravel()
    notes = np.stack(np.meshgrid(frequency, middle[1], log_rate, indexing="ij"), -1).reshape(-1, 3)
    waves = grid.render(tf.convert_to_tensor(prior.table), tf.constant(notes))
    variance = tf.constant(sigma**2 + RESIDUAL**2, tf.float64)
    likelihood, level = log_likelihood(tf.constant(y), waves, variance, tf.convert_to_tensor(prior.amplitude))
    total = logsumexp(likelihood)
    clean = (np.exp(likelihood - total) * level.numpy()) @ waves.numpy()
    constant = -0.5 * len(y) * math.log(math.tau * float(variance)) - math.log(len(notes))
    return total + constant, y + sigma**2 / float(variance) * (clean - y)


GLIDING = {"pitches": "continuous", "decay_range": (5e-4, 5e-3), "num_decays": 2}


@pytest.mark.parametrize(
    ("settings", "fine", "accuracy"),
    [
        ({}, (256, 1, 1), 2e-3),
        ({"table_size": 4096}, (4096, 1, 1), 3e-3),
        pytest.param(
            {**GLIDING, "num_pitches": 12, "num_refined": 96, "num_rounds": 2}, (64, 4, 4), 5e-2, marks=pytest.mark.slow
        ),
    ],
)
def test_agrees_with_a_dense_grid(settings: dict[str, Any], fine: tuple[int, int, int], accuracy: float) -> None:
    """In nats, out of about twenty; whether all of the mass lies in one cell or is spread over many."""
    prior = wavetable(24, **{"num_refined": 16, **settings})
    log_prob, denoise = graph(prior.log_prob, prior), graph(prior.denoise, prior)
    for sigma in (0.1, 1.0):
        y = prior.sample(2, (1, 2), sigma).numpy()
        found, clean = log_prob(y, sigma), denoise(y, sigma)
        for i in range(2):
            expected, mean = dense(prior, y[i, :, 0], sigma, *fine)
            assert abs(found[i] - expected) < accuracy
            np.testing.assert_allclose(clean[i, :, 0], mean, atol=accuracy)


def test_beside_other_waves_agrees_with_a_dense_grid_of_what_they_do_not_span() -> None:
    """Waves and event without their part in the span of two others, one of these given twice at other scales."""
    prior, sigma = wavetable(24, num_refined=16), 0.3
    rng = np.random.default_rng(0)
    beside = rng.normal(size=(2, 24))
    given = np.concatenate([beside, 3.0 * beside[:1], np.zeros((1, 24))])
    y = prior.sample(1, (1, 2), sigma).numpy()[0, :, 0] + np.array([0.7, -2.0]) @ beside
    notes = np.stack(np.meshgrid(prior.frequency.numpy(), (np.arange(256) + 0.5) / 256, [0.0], indexing="ij"), -1)
    waves = prior.grid.render(tf.convert_to_tensor(prior.table), tf.constant(notes.reshape(-1, 3))).numpy()
    remove = np.eye(24) - np.linalg.pinv(beside) @ beside
    variance = tf.constant(sigma**2 + RESIDUAL**2, tf.float64)
    amplitude = tf.convert_to_tensor(prior.amplitude)
    likelihood, level = log_likelihood(tf.constant(remove @ y), tf.constant(waves @ remove), variance, amplitude)
    expected = (np.exp(likelihood - logsumexp(likelihood)) * level.numpy()) @ waves
    found = prior.denoise_beside(y[np.newaxis, :, np.newaxis], sigma, given[np.newaxis, ..., np.newaxis])
    np.testing.assert_allclose(found[0, :, 0], expected, atol=3e-3)
    assert np.abs(found[0, :, 0] - prior.denoise(y[np.newaxis, :, np.newaxis], sigma)[0, :, 0]).max() > 0.1


def test_directions_span_a_sine_at_any_amplitude_and_phase() -> None:
    prior = wavetable(64, dtype="float32")
    clean = prior.sample(3, (1, 2), 1e-3).numpy()
    found = prior.directions(clean, 0.05).numpy()[..., 0]
    assert found.shape == (3, 2, 64)
    notes = prior.explain(clean, 0.05).numpy()
    notes[:, 1] += 0.37
    moved = 0.4 * prior.grid.render(tf.convert_to_tensor(prior.table), notes).numpy()
    for directions, wave in zip(found, moved, strict=True):
        weights = np.linalg.lstsq(directions.T, wave, rcond=None)[0]
        np.testing.assert_allclose(weights @ directions, wave, atol=2e-3)


def test_directions_follow_every_parameter_that_is_open() -> None:
    prior = wavetable(64, **GLIDING)
    y = prior.sample(2, (1, 2), 0.1)
    assert prior.directions(y, 0.1).shape == (2, 4, 64, 1)


def test_parts_of_a_large_table_are_read_at_its_nearest_points() -> None:
    """Against interpolation: off by half a point at most. The last round and narrow parts have no such table."""
    prior = wavetable(24, table_size=8192, num_phases=16, num_rounds=3)
    table, grid = tf.convert_to_tensor(prior.table), prior.grid
    shifted = grid.shifted_tables(table)
    assert [each is not None for each in shifted] == [True, True, False]
    assert grid.shifted_tables(table[::32]) == (None, None, None)
    frequency, phase = tf.constant([441.0, 1234.5], tf.float64), tf.constant([0.999, 0.25], tf.float64)
    for number, each in enumerate(shifted[:2]):
        assert each is not None
        phases = phase[:, tf.newaxis] + grid.offsets(number)[:, 1]
        expected = grid.play(grid.interpolation_table(table), tf.repeat(frequency[:, tf.newaxis], 16, 1), phases)
        found = grid.play_parts(each, frequency, phase)
        assert found.shape == (2, 16, 24)
        assert 0.0 < np.abs(found - expected).max() < 1.01 * math.pi / 8192


@pytest.mark.parametrize("settings", [{"num_refined": 1, "num_rounds": 1}, {"num_rounds": 3, **GLIDING}])
def test_the_weights_of_all_cells_sum_to_one(settings: dict[str, Any]) -> None:
    """Under overwhelming noise all waves are alike, and what is left of the density is the noise's own."""
    prior, sigma = wavetable(6, **settings), 1e4
    y = sigma * np.random.default_rng(0).normal(size=(3, 6, 1))
    noise = stats.norm.logpdf(y, scale=sigma).sum((1, 2))
    np.testing.assert_allclose(graph(prior.log_prob, prior)(y, sigma), noise, atol=1e-3)


@pytest.mark.slow
def test_single_precision_follows_double() -> None:
    double, single = (wavetable(256, dtype=dtype) for dtype in ("float64", "float32"))
    found, expected = graph(single.denoise, single), graph(double.denoise, double)
    for sigma in (0.05, 2.0):
        y = double.sample(3, (1, 1), sigma).numpy()
        np.testing.assert_allclose(found(y, sigma), expected(y, sigma), atol=2e-3)


def test_its_samples_are_its_own_and_are_denoised() -> None:
    """Noised samples are likelier under it than those of another period, and come back nearer to the clean ones."""
    prior, other = wavetable(64, dtype="float32"), wavetable(64, dtype="float32")
    other.table.assign(np.sign(prior.table.numpy() + 1e-3))
    log_prob, denoise = graph(prior.log_prob, prior), graph(prior.denoise, prior)
    sigma = 0.3
    noise = sigma * np.random.default_rng(2).normal(size=(24, 64, 1)).astype(np.float32)
    own, foreign = (each.sample(24, (3, 4), 1e-3).numpy() for each in (prior, other))
    assert log_prob(own + noise, sigma).mean() > log_prob(foreign + noise, sigma).mean() + 1.0
    assert np.mean((denoise(own + noise, sigma) - own) ** 2) < 0.3 * np.mean(noise**2)


@pytest.mark.parametrize("sigma", [0.3, pytest.param(2.0, marks=pytest.mark.slow)])
def test_draws_given_a_noised_event_have_the_denoisers_mean_and_spread(sigma: float) -> None:
    """The trace of the covariance of x given y is sigma^2 times the divergence of the denoiser."""
    prior = wavetable(4, num_refined=8, num_rounds=1)
    y = prior.sample(1, (1, 2), sigma)
    copies = tf.concat(
        [tf.repeat(y, 4, 0) + step * tf.eye(4, dtype=tf.float64)[..., None] for step in (-1e-4, 1e-4)], 0
    )
    denoised = prior.denoise(copies, sigma).numpy()[..., 0]
    trace = sigma**2 * np.trace(denoised[4:] - denoised[:4]) / 2e-4
    drawn = tf.function(prior.posterior_sample)(tf.repeat(y, 1000, axis=0), sigma, (3, 4)).numpy()[..., 0]
    mean = denoised.mean(0)
    np.testing.assert_allclose(drawn.mean(0), mean, atol=4.0 * np.sqrt(trace / 1000))
    assert abs(np.mean(np.sum((drawn - mean) ** 2, -1)) / trace - 1.0) < 0.2


def test_draws_given_an_event_almost_without_noise_are_that_event() -> None:
    prior = wavetable(64, dtype="float32")
    clean = prior.sample(4, (8, 9), 1e-4)
    drawn = tf.function(prior.posterior_sample)(clean, 0.01, (0, 0))
    assert prior.has_posterior_sample
    np.testing.assert_allclose(drawn, clean, atol=0.06)


def test_nothing_of_it_is_trained_and_all_of_it_is_saved(tmp_path: Path) -> None:
    prior, other = wavetable(16), wavetable(16)
    assert prior.trainable_variables == []
    prior.table.assign(prior.table.numpy()[::-1])
    prior.residual.assign(0.2)
    weights.save(prior, tmp_path / "prior.safetensors")
    weights.load(other, tmp_path / "prior.safetensors")
    y = np.random.default_rng(0).normal(size=(2, 16, 1))
    np.testing.assert_array_equal(other.log_prob(y, 0.3), prior.log_prob(y, 0.3))


def test_indices_are_drawn_by_their_weights() -> None:
    uniform = tf.constant(np.append(0.0, (np.arange(1000) + 0.5) / 1000))
    drawn = categorical(tf.constant([0.0, 2.0, 0.0, 6.0, 0.0], tf.float64), uniform)
    np.testing.assert_array_equal(np.bincount(drawn, minlength=5), [0, 251, 0, 750, 0])
