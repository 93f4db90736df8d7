"""Griffin-Lim finds a waveform with the wanted magnitudes."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tfsep.audio.phase import griffin_lim, phase_of, polar
from tfsep.audio.stft import stft


def chord(length: int = 8192) -> np.ndarray:
    time = np.arange(length) / 8000
    return sum(np.sin(2 * np.pi * pitch * time) for pitch in (220.0, 331.0, 470.0)).astype(np.float32) / 4


def convergence(estimate: tf.Tensor, magnitude: tf.Tensor) -> float:
    """Relative error of the magnitudes in dB."""
    error = np.linalg.norm(np.abs(stft(estimate, 512, 128)) - magnitude) / np.linalg.norm(magnitude)
    return 20 * np.log10(error)


def test_more_rounds_come_nearer_and_momentum_helps() -> None:
    magnitude = tf.abs(stft(chord(), 512, 128))
    start, slow, fast = (
        convergence(griffin_lim(magnitude, 512, 128, length=8192, iterations=rounds, momentum=momentum), magnitude)
        for rounds, momentum in ((0, 0.0), (60, 0.0), (60, 0.99))
    )
    assert slow < start - 6
    assert fast < slow
    assert fast < -20


def test_a_seed_fixes_the_result() -> None:
    magnitude = tf.abs(stft(chord(2048), 512, 128))
    first, same, other = (
        griffin_lim(magnitude, 512, 128, length=2048, iterations=4, seed=seed).numpy()
        for seed in ((1, 2), (1, 2), (1, 3))
    )
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 1e-3


def test_it_compiles_under_xla_in_batches() -> None:
    magnitude = tf.abs(stft(np.stack([chord(3000), chord(3000)[::-1]]), 512, 128))

    @tf.function(jit_compile=True)
    def compiled(value: tf.Tensor) -> tf.Tensor:
        return griffin_lim(value, 512, 128, length=3000, iterations=5)

    result = compiled(magnitude)
    assert result.shape == (2, 3000)
    np.testing.assert_allclose(result, griffin_lim(magnitude, 512, 128, length=3000, iterations=5), atol=1e-3)


def test_unknown_shapes_are_served() -> None:
    @tf.function(input_signature=[tf.TensorSpec([None, None, 257]), tf.TensorSpec([], tf.int32)])
    def dynamic(magnitude: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        return griffin_lim(magnitude, 512, 128, length=length, iterations=3)

    magnitude = tf.abs(stft(chord(3000)[None], 512, 128))
    assert dynamic(magnitude, 3000).shape == (1, 3000)


def test_more_frames_than_the_length_has_end_in_silence() -> None:
    magnitude = tf.pad(tf.abs(stft(chord(2048), 512, 128)), [[0, 3], [0, 0]])
    assert griffin_lim(magnitude, 512, 128, length=2048, iterations=2).shape == (2048,)


def test_silence_stays_silent() -> None:
    np.testing.assert_array_equal(griffin_lim(tf.zeros([11, 257]), 512, 128, length=1000), 0.0)


def test_polar_and_phase_undo_each_other() -> None:
    numbers = tf.constant([1 + 1j, -2j, -3 + 0.1j, 0j], tf.complex64)
    np.testing.assert_allclose(polar(tf.abs(numbers), phase_of(numbers)), numbers, atol=1e-6)


def test_the_phase_of_zero_has_a_finite_gradient() -> None:
    x = tf.zeros([700])
    with tf.GradientTape() as tape:
        tape.watch(x)
        phase = phase_of(stft(x, 256, 64))
    np.testing.assert_array_equal(phase, 0.0)
    assert np.isfinite(tape.gradient(phase, x)).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"iterations": -1}, "iterations must be at least 0, got -1"),
        ({"momentum": 1.0}, r"momentum must lie in \[0, 1\), got 1.0"),
        ({"momentum": -0.1}, "got -0.1"),
    ],
)
def test_bad_settings_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        griffin_lim(tf.zeros([11, 257]), 512, 128, length=1000, **settings)
