"""The short-time Fourier transform: exact both ways, in every mode of TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tests.signals import noise
from tfsep.audio.stft import check_framing, inverse_stft, longest_signal, num_frames, stft

FRAMINGS = [(1024, 256, None), (1024, 512, None), (512, 128, 1024), (100, 30, None), (101, 33, 128), (2, 1, None)]


def relative_error(estimate: tf.Tensor, reference: np.ndarray) -> float:
    return float(np.abs(np.asarray(estimate) - reference).max() / np.abs(reference).max())


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("time", [1, 255, 256, 4096, 5001])
def test_the_inverse_gives_the_signal_back(framing: tuple[int, int, int | None], time: int) -> None:
    x = noise(2, time)
    spectrum = stft(x, *framing)
    assert spectrum.shape == (2, num_frames(time, *framing[:2]), check_framing(*framing) // 2 + 1)
    assert spectrum.dtype == tf.complex64
    y = inverse_stft(spectrum, *framing, length=time)
    assert y.shape == (2, time)
    assert relative_error(y, x) < 1e-6


def test_float64_is_kept() -> None:
    x = noise(3000, dtype=np.float64)
    y = inverse_stft(stft(x, 512, 128), 512, 128, length=3000)
    assert y.dtype == tf.float64
    assert relative_error(y, x) < 1e-13


def test_it_compiles_under_xla() -> None:
    x = noise(3, 5001)

    @tf.function(jit_compile=True)
    def both_ways(signal: tf.Tensor) -> tf.Tensor:
        return inverse_stft(stft(signal, 1024, 256), 1024, 256, length=5001)

    assert relative_error(both_ways(x), x) < 1e-6


def test_it_traces_once_for_all_lengths() -> None:
    @tf.function(input_signature=[tf.TensorSpec([None, None])])
    def both_ways(signal: tf.Tensor) -> tf.Tensor:
        return inverse_stft(stft(signal, 512, 128), 512, 128, length=tf.shape(signal)[-1])

    for time in (1, 700, 5001):
        x = noise(2, time)
        assert relative_error(both_ways(x), x) < 1e-6
    assert both_ways.experimental_get_tracing_count() == 1


def test_static_shapes_stay_known() -> None:
    shapes = []

    @tf.function(input_signature=[tf.TensorSpec([None, 5001])])
    def both_ways(signal: tf.Tensor) -> tf.Tensor:
        spectrum = stft(signal, 1024, 256)
        shapes.extend([spectrum.shape, inverse_stft(spectrum, 1024, 256, length=5001).shape])
        return spectrum

    both_ways.get_concrete_function()
    assert [shape.as_list() for shape in shapes] == [[None, num_frames(5001, 1024, 256), 513], [None, 5001]]


@pytest.mark.parametrize("compiled", [False, True])
def test_the_gradient_is_that_of_the_identity(compiled: bool) -> None:
    """d/dx sum(c . istft(stft(x))) = c."""
    x, weights = noise(2, 1500), noise(2, 1500)[::-1].copy()

    @tf.function(jit_compile=compiled)
    def gradient(signal: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(signal)
            value = tf.reduce_sum(weights * inverse_stft(stft(signal, 256, 64), 256, 64, length=1500))
        return tape.gradient(value, signal)

    assert relative_error(gradient(tf.constant(x)), weights) < 1e-5


def test_the_gradient_of_the_power_is_finite_differences() -> None:
    x, direction = noise(700, dtype=np.float64), noise(2, 700, dtype=np.float64)[1]
    step = 1e-5

    def power(signal: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.abs(stft(signal, 256, 64)) ** 2)

    signal = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(signal)
        value = power(signal)
    slope = np.sum(tape.gradient(value, signal).numpy() * direction)
    numeric = (power(x + step * direction) - power(x - step * direction)) / (2 * step)
    assert slope == pytest.approx(float(numeric), rel=1e-7)


def test_a_sine_peaks_at_its_bin_with_a_quarter_of_the_frame() -> None:
    x = 0.5 * np.sin(2 * np.pi * 32 * np.arange(4096) / 1024).astype(np.float32)
    magnitude = np.abs(stft(x, 1024, 256).numpy())[8]
    assert np.argmax(magnitude) == 32
    assert magnitude[32] == pytest.approx(0.5 * 1024 / 4, rel=1e-4)


def test_frames_are_windowed_slices_of_the_padded_signal() -> None:
    x = noise(1000)
    frame = np.concatenate([np.zeros(192), x])[3 * 64 : 3 * 64 + 256]
    window = 0.5 - 0.5 * np.cos(np.arange(256) * np.pi / 128)
    np.testing.assert_allclose(stft(x, 256, 64)[3], np.fft.rfft(frame * window), atol=1e-4)


def test_it_is_linear() -> None:
    x, y = noise(2, 3000)
    np.testing.assert_allclose(stft(2 * x - y, 512, 128), 2 * stft(x, 512, 128) - stft(y, 512, 128), atol=1e-4)


def test_every_frame_reaches_into_the_signal() -> None:
    for time in (2, 1023, 4096, 4098):
        assert np.all(np.abs(stft(np.ones(time, np.float32), 512, 128)).max(axis=-1) > 0)


def test_the_longest_signal_of_a_frame_count() -> None:
    for frames in (4, 5, 33):
        longest = longest_signal(frames, 1024, 256)
        assert num_frames(longest, 1024, 256) == frames
        assert num_frames(longest + 1, 1024, 256) == frames + 1


def test_a_foreign_spectrum_gives_the_nearest_signal() -> None:
    """The inverse is the least-squares one: what it leaves out is orthogonal to every signal's spectrum."""
    rng = np.random.default_rng(1)
    shape = (num_frames(800, 256, 64), 129)
    spectrum = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex128)
    spectrum[:, [0, -1]] = spectrum[:, [0, -1]].real
    nearest = inverse_stft(spectrum, 256, 64, length=800).numpy()
    rest = spectrum - stft(nearest, 256, 64).numpy()
    two_sided = np.where(np.isin(np.arange(129), (0, 128)), 1.0, 2.0)
    for seed in range(3):
        other = stft(np.random.default_rng(seed).standard_normal(800), 256, 64).numpy()
        product = np.sum(two_sided * (rest * other.conj()).real)
        assert abs(product) < 1e-9 * np.linalg.norm(rest) * np.linalg.norm(other)


@pytest.mark.parametrize(
    ("framing", "message"),
    [
        ((1, 1, None), "frame_length must be at least 2 samples, got 1"),
        ((1024, 0, None), r"frame_step must lie in 1..frame_length/2 = 1..512, got 0"),
        ((1024, 513, None), "got 513"),
        ((1024, 256, 512), "fft_length must be even and at least frame_length = 1024, got 512"),
        ((1000, 250, 1023), "got 1023"),
    ],
)
def test_bad_framing_is_refused(framing: tuple[int, int, int | None], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stft(noise(4096), *framing)
    with pytest.raises(ValueError, match=message):
        inverse_stft(tf.zeros([4, 513], tf.complex64), *framing, length=256)


def test_signals_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 sample, got 0"):
        stft(np.zeros((2, 0), np.float32), 512, 128)
    spectrum = stft(noise(1000), 512, 128)
    with pytest.raises(ValueError, match="11 frames hold at most 1024 samples, got length 1025"):
        inverse_stft(spectrum, 512, 128, length=1025)
    with pytest.raises(ValueError, match="num_bins must be fft_length / 2 \\+ 1 = 513, got 257"):
        inverse_stft(spectrum, 512, 128, 1024, length=1000)
    with pytest.raises(ValueError, match="length must be at least 1 sample, got 0"):
        inverse_stft(spectrum, 512, 128, length=0)
