"""Stems must add up, in the space where the mixing model measures distance."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from tfsep import mixing
from tfsep.separation import consistency


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).standard_normal(shape)


def test_stems_of_sources_are_scaled_by_their_gains() -> None:
    sources = random(2, 3, 5)
    stems = consistency.to_mixture_scale(sources, (0.5, 1.0, 2.0)).numpy()
    np.testing.assert_allclose(stems, sources * np.array([0.5, 1.0, 2.0])[:, None])
    np.testing.assert_allclose(stems.sum(axis=1), mixing.mix(sources, (0.5, 1.0, 2.0)).numpy())


def test_projected_stems_sum_to_the_mixture() -> None:
    mixture, stems = random(4, 7), random(4, 3, 7)
    projected = consistency.project_stems(mixture, stems, (0.2, 0.3, 0.5)).numpy()
    np.testing.assert_allclose(projected.sum(axis=1), mixture, atol=1e-12)


def test_projection_shares_the_residual_by_squared_gains() -> None:
    gains = np.array([0.2, 0.3, 0.5])
    mixture, stems = random(4, 7), random(4, 3, 7)
    change = consistency.project_stems(mixture, stems, gains).numpy() - stems
    residual = (mixture - stems.sum(axis=1))[:, None]
    np.testing.assert_allclose(change, (gains**2 / np.sum(gains**2))[:, None] * residual, atol=1e-12)


def test_projection_keeps_the_dtype_and_leaves_exact_stems_alone() -> None:
    stems = tf.cast(random(2, 3, 7), tf.float32)
    projected = consistency.project_stems(tf.reduce_sum(stems, axis=1), stems, (1.0, 1.0, 1.0))
    assert projected.dtype == tf.float32
    np.testing.assert_allclose(projected, stems, atol=1e-6)


def test_residual_meter_measures_over_all_blocks() -> None:
    meter = consistency.ResidualMeter()
    mixture = random(2, 100)
    stems = np.stack([0.5 * mixture, 0.49 * mixture])
    meter.update(mixture[:, :30], stems[..., :30])
    meter.update(mixture[:, 30:], stems[..., 30:])
    assert math.isclose(meter.decibels, -40.0, abs_tol=1e-9)


def test_residual_of_nothing_is_minus_infinity() -> None:
    meter = consistency.ResidualMeter()
    assert meter.decibels == -math.inf
    meter.update(np.zeros((1, 4)), np.zeros((2, 1, 4)))
    assert meter.decibels == -math.inf
    meter.update(np.zeros((1, 4)), np.ones((2, 1, 4)))
    assert meter.decibels == math.inf
