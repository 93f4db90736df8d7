"""The split at the lowest audible frequency: what is below goes to one part, what is above to the other."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tfsep.audio.rumble import split_rumble

RATE, LONG = 22050, 65536
PERIOD = RATE // 15


def sine(frequency: float, phase: float = 0.3) -> np.ndarray:
    wave = np.sin(2.0 * np.pi * frequency * np.arange(LONG) / RATE + phase)
    return wave.astype(np.float32)[np.newaxis]


def test_the_parts_sum_to_the_wave() -> None:
    wave = tf.constant(0.3 + sine(5.0) + sine(440.0))
    low, rest = split_rumble(wave, PERIOD)
    np.testing.assert_allclose(low + rest, wave, atol=1e-6)


def test_a_constant_is_wholly_below() -> None:
    low, rest = split_rumble(tf.fill((2, LONG), 0.7), PERIOD)
    np.testing.assert_allclose(low, 0.7, atol=1e-5)
    np.testing.assert_allclose(rest, 0.0, atol=1e-5)


@pytest.mark.parametrize(
    ("frequency", "share"), [(3.0, 1.0), (8.0, 1.0), (15.0, 0.5), (22.0, 0.0), (27.5, 0.0), (5000.0, 0.0)]
)
def test_the_border_lies_at_one_over_the_period(frequency: float, share: float) -> None:
    wave = sine(frequency)
    low, _ = split_rumble(tf.constant(wave), PERIOD)
    inner = slice(8000, -8000)
    found = np.dot(low.numpy()[0, inner], wave[0, inner]) / np.dot(wave[0, inner], wave[0, inner])
    assert found == pytest.approx(share, abs=0.02)


def test_a_wave_shorter_than_the_filter_is_split_too() -> None:
    wave = tf.constant(0.5 + sine(440.0)[:, :600])
    low, rest = split_rumble(wave, PERIOD)
    np.testing.assert_allclose(low + rest, wave, atol=1e-6)
    assert low.numpy().mean() == pytest.approx(0.5, abs=0.05)
