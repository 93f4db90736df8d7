"""The oscillators against numpy's formulae and against their Fourier series."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tfsep.data import oscillators

NOT_SINE = oscillators.ALL_KINDS[1:]


def ideal(kind: str, cycles: np.ndarray) -> np.ndarray:
    fraction = cycles - np.floor(cycles)
    return {
        "sine": np.sin(2 * np.pi * cycles),
        "sawtooth": 2 * fraction - 1,
        "square": np.where(fraction < 0.5, 1.0, -1.0),
        "triangle": np.abs(4 * fraction - 2) - 1,
        "pulse": np.where((fraction < 0.125) | (fraction > 0.875), 1.0, -1 / 3),
    }[kind]


def series(kind: str, cycles: np.ndarray, num_harmonics: int) -> np.ndarray:
    order = np.arange(1, num_harmonics + 1, dtype=np.float64)
    angle = 2 * np.pi * cycles[..., np.newaxis] * order
    odd = order % 2
    terms = {
        "sine": np.sin(angle) * (order == 1),
        "sawtooth": -2 / np.pi * np.sin(angle) / order,
        "square": 4 / np.pi * odd * np.sin(angle) / order,
        "triangle": 8 / np.pi**2 * odd * np.cos(angle) / order**2,
        "pulse": 8 / (3 * np.pi) * np.sin(np.pi * order / 4) * np.cos(angle) / order,
    }
    return terms[kind].sum(-1)


def band_limited(kind: str, cycles: np.ndarray, *num_harmonics: int) -> np.ndarray:
    rows = np.broadcast_to(cycles, (len(num_harmonics), len(cycles)))
    return oscillators.band_limited(kind, tf.constant(rows), tf.constant(num_harmonics)).numpy()


@pytest.mark.parametrize("kind", oscillators.ALL_KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_naive_waves_are_their_formulae(kind: str, dtype: type) -> None:
    cycles = np.random.default_rng(0).uniform(-3, 3, (4, 50)).astype(dtype)
    wave = oscillators.naive(kind, tf.constant(cycles))
    assert wave.dtype == dtype
    np.testing.assert_allclose(wave, ideal(kind, cycles), atol=50 * np.finfo(dtype).eps)


@pytest.mark.parametrize(
    ("kind", "quarters"),
    [
        ("sine", [0, 1, 0, -1]),
        ("sawtooth", [-1, -0.5, 0, 0.5]),
        ("square", [1, 1, -1, -1]),
        ("triangle", [1, 0, -1, 0]),
        ("pulse", [1, -1 / 3, -1 / 3, -1 / 3]),
    ],
)
def test_a_period_starts_where_the_picture_says(kind: str, quarters: list[float]) -> None:
    cycles = tf.constant([0.0, 0.25, 0.5, 0.75], tf.float64)
    np.testing.assert_allclose(oscillators.naive(kind, cycles), quarters, atol=1e-15)


@pytest.mark.parametrize("kind", oscillators.ALL_KINDS)
def test_band_limited_waves_are_partial_fourier_sums(kind: str) -> None:
    cycles = np.random.default_rng(1).uniform(-2, 40, 300)
    wave = band_limited(kind, cycles, 1, 2, 7, 290)
    for row, num_harmonics in zip(wave, (1, 2, 7, 290), strict=True):
        np.testing.assert_allclose(row, series(kind, cycles, num_harmonics), atol=1e-9)


@pytest.mark.parametrize("kind", NOT_SINE)
def test_fourier_sums_converge_to_the_naive_wave(kind: str) -> None:
    cycles = (np.arange(4096) + 0.5) / 4096
    error = band_limited(kind, cycles, 3, 30, 300) - ideal(kind, cycles)
    rms = np.sqrt(np.mean(error**2, axis=-1))
    # By Parseval the energy left over falls as 1/K, for the triangle as 1/K^3.
    assert rms[1] < 0.4 * rms[0] and rms[2] < 0.4 * rms[1]
    assert rms[2] < 0.05
    jumps = np.array([0.125, 0.875]) if kind == "pulse" else np.array([0.0, 0.5])
    smooth = np.abs((cycles[:, np.newaxis] - jumps + 0.5) % 1 - 0.5).min(axis=-1) > 0.025
    assert np.abs(error[2, smooth]).max() < 0.02


@pytest.mark.parametrize("kind", NOT_SINE)
def test_overshoot_is_that_of_gibbs(kind: str) -> None:
    peak = np.abs(band_limited(kind, np.arange(20000) / 20000, 100)).max()
    # A jump of height h overshoots by 0.0895 h.
    low, high = {"triangle": (0.95, 1.0), "pulse": (1.10, 1.13)}.get(kind, (1.15, 1.19))
    assert low < peak < high


def test_an_unknown_oscillator_is_refused() -> None:
    cycles = tf.zeros((1, 4), tf.float64)
    with pytest.raises(ValueError, match="sine, sawtooth, square, triangle, pulse, got 'noise'"):
        oscillators.naive("noise", cycles)
    with pytest.raises(ValueError, match="sine, sawtooth, square, triangle, pulse, got 'noise'"):
        oscillators.band_limited("noise", cycles, tf.constant([1]))
