"""The mixing model against automatic differentiation and against its own definitions."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tfsep import mixing

GAINS = [None, (1.0, 1.0, 1.0, 1.0), (0.3, 1.2, -0.5, 2.0)]


def _case(seed: int = 0, batch: int = 3, num_sources: int = 4, time: int = 17) -> tuple[tf.Tensor, tf.Tensor]:
    rng = np.random.default_rng(seed)
    return tf.constant(rng.normal(size=(batch, time))), tf.constant(rng.normal(size=(batch, num_sources, time)))


def test_default_is_the_mean() -> None:
    _, sources = _case()
    np.testing.assert_allclose(mixing.mix(sources), tf.reduce_mean(sources, axis=1), atol=1e-14)


@pytest.mark.parametrize("gains", GAINS)
def test_log_likelihood_is_a_normal_density(gains: tuple[float, ...] | None) -> None:
    from scipy.stats import norm

    mixture, sources = _case(1)
    mean = mixing.mix(sources, gains).numpy()
    expected = norm.logpdf(mixture.numpy(), mean, 0.3).sum(-1)
    np.testing.assert_allclose(mixing.log_likelihood(mixture, sources, 0.3, gains), expected, rtol=1e-12)


@pytest.mark.parametrize("gains", GAINS)
@pytest.mark.parametrize("gamma", [0.05, 1.0, 3.0])
def test_gradient_is_the_autodiff_gradient(gains: tuple[float, ...] | None, gamma: float) -> None:
    mixture, sources = _case(2)
    with tf.GradientTape() as tape:
        tape.watch(sources)
        value = mixing.log_likelihood(mixture, sources, gamma, gains)
    expected = tape.gradient(value, sources)
    np.testing.assert_allclose(mixing.gradient(mixture, sources, gamma, gains), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("gains", GAINS)
def test_one_ascent_step_lowers_the_residual(gains: tuple[float, ...] | None) -> None:
    mixture, sources = _case(3)
    norm = sum(gain**2 for gain in mixing.gain_vector(4, gains))
    step = 0.5 / norm
    moved = sources + step * mixing.gradient(mixture, sources, 1.0, gains)
    before = tf.norm(mixing.residual(mixture, sources, gains), axis=-1)
    after = tf.norm(mixing.residual(mixture, moved, gains), axis=-1)
    np.testing.assert_allclose(after, 0.5 * before, rtol=1e-10)


@pytest.mark.parametrize("gains", GAINS)
def test_projection_is_exact_idempotent_and_nearest(gains: tuple[float, ...] | None) -> None:
    mixture, sources = _case(4)
    projected = mixing.project(mixture, sources, gains)
    np.testing.assert_allclose(mixing.residual(mixture, projected, gains), 0.0, atol=1e-12)
    np.testing.assert_allclose(mixing.project(mixture, projected, gains), projected, atol=1e-12)
    move = projected - sources
    np.testing.assert_allclose(mixing.project_tangent(move, gains), 0.0, atol=1e-12)


@pytest.mark.parametrize("gains", GAINS)
def test_tangent_moves_keep_the_mixture(gains: tuple[float, ...] | None) -> None:
    _, direction = _case(5)
    tangent = mixing.project_tangent(direction, gains)
    np.testing.assert_allclose(mixing.mix(tangent, gains), 0.0, atol=1e-12)
    np.testing.assert_allclose(mixing.project_tangent(tangent, gains), tangent, atol=1e-12)


def test_mean_projection_adds_the_same_residual_to_every_source() -> None:
    mixture, sources = _case(6)
    shift = mixing.project(mixture, sources) - sources
    expected = (mixture - tf.reduce_mean(sources, axis=1))[:, tf.newaxis, :]
    np.testing.assert_allclose(shift, tf.broadcast_to(expected, shift.shape), atol=1e-12)


@pytest.mark.parametrize("gains", [(1.0,), (0.0, 1.0, 1.0, 1.0), (float("nan"), 1.0, 1.0, 1.0)])
def test_bad_gains_are_refused(gains: tuple[float, ...]) -> None:
    _, sources = _case(7)
    with pytest.raises(ValueError, match="gain"):
        mixing.mix(sources, gains)
