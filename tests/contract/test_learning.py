"""What a flow has learned after a few hundred steps on Gaussian events, whose true density is known."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.contract.conftest import FAMILY_GAP, FAMILY_SHARE

SPREADS = np.geomspace(0.003, 30.0, 8)


@pytest.fixture(scope="module")
def trained(training: Any) -> Any:
    if training.steps < training.enough:
        training.run(training.enough - training.steps, rate=1e-2)
    return training


def noised(training: Any, sigma: float, num: int) -> tuple[np.ndarray, np.ndarray]:
    """Held-out clean events, and the same with noise."""
    clean = training.draw(num, (77, 1))[0].numpy()
    return clean, (clean + sigma * np.random.default_rng(2).normal(size=clean.shape)).astype(np.float32)


def resident() -> float:
    """Memory of this process in MiB."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.parametrize("sigma", [0.01, 0.1, 0.5, 2.0, 8.0])
def test_reaches_the_known_entropy(trained: Any, sigma: float) -> None:
    """The mean of log true - log learned is a Kullback-Leibler divergence: never negative, and here small."""
    _, y = noised(trained, sigma, 4096)
    gap = (trained.true_log_prob(y, sigma) - trained.prior.log_prob(y, sigma).numpy()) / trained.prior.dimensions
    error = gap.std() / np.sqrt(len(gap))
    assert -4.0 * error < gap.mean() < 0.02 + FAMILY_GAP.get(trained.prior.kind, 0.0)


@pytest.mark.parametrize("sigma", [0.1, 0.5, 2.0])
def test_denoising_beats_the_input_and_comes_near_the_best(trained: Any, sigma: float) -> None:
    clean, y = noised(trained, sigma, 4096)
    flat = y.reshape(len(y), -1)
    noisy = trained.covariance + sigma**2 * np.eye(flat.shape[1])
    best = (flat @ np.linalg.solve(noisy, trained.covariance)).reshape(y.shape)
    errors = [float(np.mean((one - clean) ** 2)) for one in (y, trained.prior.denoise(y, sigma).numpy(), best)]
    assert errors[1] < errors[0]
    share = FAMILY_SHARE.get((trained.prior.kind, getattr(trained.prior, "score_of", "gradient")), 1.0)
    assert errors[0] - errors[1] > 0.9 * share * (errors[0] - errors[2])


def test_the_score_under_loud_noise_is_that_of_a_gaussian(trained: Any) -> None:
    """It tends to -y / (variance + sigma^2), whatever the source."""
    _, y = noised(trained, 8.0, 512)
    limit = -y / (0.5 + 64.0)
    assert np.linalg.norm(trained.prior.score(y, 8.0) - limit) < 0.2 * np.linalg.norm(limit)


@pytest.mark.parametrize("sigma", [None, 0.5])
def test_keeps_gibbs_bound_after_training(trained: Any, sigma: float | None) -> None:
    """For noise of eight spreads; see test_bounds.py."""
    prior, num = trained.prior, 256
    column = SPREADS[:, np.newaxis, np.newaxis]
    x = (column * np.random.default_rng(1).normal(size=(8, num, prior.dimensions))).astype(np.float32)
    normal = -0.5 * (x**2 / column**2 + np.log(2.0 * np.pi * column**2)).sum(-1)
    difference = prior.log_prob(x.reshape(-1, *prior.event_shape), sigma).numpy().reshape(8, num) - normal
    assert np.all(difference.mean(1) <= 4.0 * difference.std(1) / np.sqrt(num))


def test_its_samples_have_the_covariance(trained: Any) -> None:
    drawn = trained.prior.sample(8192, (5, 6), 0.5).numpy().reshape(8192, -1)
    expected = trained.covariance + 0.25 * np.eye(drawn.shape[1])
    error = np.linalg.norm(np.cov(drawn.T) - expected) / np.linalg.norm(expected)
    assert error < 0.25


def test_its_samples_have_the_trained_spectrum(trained: Any) -> None:
    """The mean power of every frequency along the longest axis, within a quarter of the largest."""
    shape = trained.prior.event_shape
    axis = int(np.argmax(shape))
    drawn = trained.prior.sample(8192, (5, 6), 0.5).numpy()
    power = np.mean(np.abs(np.fft.rfft(drawn, axis=axis + 1)) ** 2, axis=0)
    expected = trained.covariance + 0.25 * np.eye(trained.prior.dimensions)
    waves = np.fft.rfft(np.eye(trained.prior.dimensions).reshape(*shape, -1), axis=axis)
    wanted = np.einsum("...i,ij,...j->...", waves, expected, waves.conj()).real
    assert np.abs(power - wanted).max() < 0.25 * wanted.max()


def test_training_steps_leave_memory_flat(trained: Any) -> None:
    before = resident()
    trained.run(200, rate=1e-4)
    assert resident() - before < 8.0


@pytest.mark.slow
def test_two_thousand_training_steps_leave_memory_flat(trained: Any) -> None:
    trained.run(50, rate=1e-4)
    before = resident()
    trained.run(2000, rate=1e-4)
    assert resident() - before < 8.0


@pytest.mark.parametrize("num_steps", [200, pytest.param(2000, marks=pytest.mark.slow)])
def test_training_steps_of_a_denoiser_leave_memory_flat(num_steps: int, case_named: Callable[[str], Any]) -> None:
    denoiser = case_named("score_wave").build()
    optimiser = keras.optimizers.Adam(1e-4)
    optimiser.build(denoiser.trainable_variables)

    @tf.function(autograph=False)
    def step(seed: tf.Tensor) -> None:
        clean, noise = tf.unstack(tf.random.stateless_normal((2, 16, *denoiser.event_shape), seed))
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((denoiser.denoise(clean + 0.3 * noise, 0.3) - clean) ** 2)
        variables = denoiser.trainable_variables
        optimiser.apply(tape.gradient(loss, [v.value for v in variables]), variables)

    for number in range(50):
        step(tf.constant([0, number]))
    before = resident()
    for number in range(num_steps):
        step(tf.constant([1, number]))
    assert resident() - before < 8.0


@pytest.mark.slow
def test_steps_outside_a_graph_leave_memory_flat(case_named: Callable[[str], Any]) -> None:
    """TFP's caches hold on to what is computed eagerly, if anything does; batches come and go, as in training."""
    flow = case_named("glow_wave").build()
    variables = [variable.value for variable in flow.trainable_variables]
    kept = tf.zeros((4, *flow.event_shape))

    def call(times: int) -> None:
        for _ in range(times):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(flow.distribution(tf.fill([4], 0.3)).log_prob(tf.identity(kept)))
                loss -= tf.reduce_mean(flow.log_prob(kept, 0.3))
            tape.gradient(loss, variables)

    call(20)
    before = resident()
    call(60)
    assert resident() - before < 1.5
