"""The real Fourier transform as pairs: orthonormal, with one phase in all bins that a sinusoid reaches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep.bijectors import RealFourier

Make = Callable[..., Any]


@pytest.mark.parametrize("length", [2, 4, 12, 16])
def test_is_a_bijection_without_change_of_volume(length: int, assert_bijective: Make, make_events: Make) -> None:
    step = RealFourier(tf.float64)
    assert_bijective(step, (length // 2, 2), (length, 1))
    y = make_events((length, 1))
    bins, log_det = step.inverse_and_log_det(y)
    np.testing.assert_array_equal(log_det, 0.0)
    np.testing.assert_allclose(tf.reduce_sum(bins**2, [1, 2]), tf.reduce_sum(y**2, [1, 2]), rtol=1e-12)


@pytest.mark.parametrize("num_parts", [2, 3])
def test_parts_are_interleaved_signals_of_their_own(num_parts: int, assert_bijective: Make, make_events: Make) -> None:
    length = 8 * num_parts
    step = RealFourier(tf.float64, num_parts)
    assert_bijective(step, (length // 2, 2), (length, 1))
    y = make_events((length, 1))
    bins = step.inverse_and_log_det(y)[0].numpy()
    for part in range(num_parts):
        own = RealFourier(tf.float64).inverse_and_log_det(y[:, part::num_parts])[0].numpy()
        np.testing.assert_allclose(np.sum(bins[:, part::num_parts] ** 2, -1), np.sum(own**2, -1), rtol=1e-10)


def test_a_slow_sinusoid_has_the_same_bins_in_each_part() -> None:
    length, phase = 4096, 0.7
    centre = np.arange(length) - (length - 1) / 2
    wave = np.cos(2 * np.pi * 640.3 / length * centre + phase)
    bins = RealFourier(tf.float64, 2).inverse_and_log_det(tf.constant(wave.reshape(1, length, 1)))[0].numpy()[0]
    near = bins[2 * 635 : 2 * 646].reshape(11, 2, 2) @ [1.0, 1.0j]
    np.testing.assert_allclose(np.abs(np.sin(np.angle(near) - phase)), 0.0, atol=0.02)
    np.testing.assert_allclose(near[:, 0], near[:, 1], atol=0.02 * np.abs(near).max())


def test_samples_that_do_not_deal_out_evenly_are_refused() -> None:
    with pytest.raises(ValueError, match="a multiple of 4 samples, got 10"):
        RealFourier(tf.float64, 2).inverse_and_log_det(tf.zeros((1, 10, 1), tf.float64))


def test_bins_are_those_of_the_formula() -> None:
    length = 8
    y = np.random.default_rng(0).normal(size=length)
    bins = RealFourier(tf.float64).inverse_and_log_det(tf.constant(y.reshape(1, length, 1)))[0].numpy()[0]
    time = np.arange(length)
    np.testing.assert_allclose(bins[0], [y.sum() / np.sqrt(8), (y * (-1.0) ** time).sum() / np.sqrt(8)], rtol=1e-12)
    for b in range(1, 4):
        value = np.sum(y * np.exp(-2j * np.pi * b * time / length)) * np.exp(1j * np.pi * b * 7 / 8) / 2.0
        np.testing.assert_allclose(bins[b], [value.real, value.imag], rtol=1e-10, atol=1e-12)


def test_a_sinusoid_has_one_phase_up_to_its_sign() -> None:
    length, phase = 4096, 0.7
    centre = np.arange(length) - (length - 1) / 2
    wave = np.cos(2 * np.pi * 640.3 / length * centre + phase)
    bins = RealFourier(tf.float64).inverse_and_log_det(tf.constant(wave.reshape(1, length, 1)))[0].numpy()[0]
    near = bins[635:646] @ [1.0, 1.0j]
    np.testing.assert_allclose(np.abs(np.sin(np.angle(near) - phase)), 0.0, atol=0.02)


@pytest.mark.parametrize("length", [1, 7])
def test_an_odd_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=f"an even number of samples, at least 2, got {length}"):
        RealFourier(tf.float64).inverse_and_log_det(tf.zeros((1, length, 1), tf.float64))
