"""The short-time Fourier transform and its exact inverse.

With the periodic Hann window w of length L = ``frame_length`` and the step H = ``frame_step``,

    S[t, f] = sum_n w[n] x[n + t H - (L - H)] exp(-2 pi i f n / F),    F = ``fft_length``,

where x is zero outside its ``time`` samples. L - H zeros are put before the first sample, and zeros
up to the end of the last frame behind the last sample, so that every sample lies under as many
frames as one in the middle of a long signal, and every frame reaches into the signal. The inverse
overlaps and adds the frames under the dual window w[n] / sum_j w[n + j H]^2 (Griffin and Lim, 1984,
equation 6) and removes the padding: ``inverse_stft(stft(x))`` is x, to 1e-6 of its largest value in
float32; for a spectrogram that no signal has, it is the nearest signal's.

Spectra are not normalised: a sine of amplitude A has a peak of A L / 4. Both directions are
TensorFlow graphs which differentiate and compile under XLA; whatever is known of the shapes at
tracing time stays known.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeAlias

import tensorflow as tf

Length: TypeAlias = "int | tf.Tensor"


def check_framing(frame_length: int, frame_step: int, fft_length: int | None = None) -> int:
    """Check the three lengths against each other, all in samples.

    Returns:
        The length of the Fourier transform: ``fft_length``, or the first power of two that holds a
        frame.

    Raises:
        ValueError: for a frame of less than two samples; a step outside 1..frame_length/2 (where
            the dual window has no bound); a transform shorter than a frame, or of odd length.
    """
    if frame_length < 2:
        raise ValueError(f"frame_length must be at least 2 samples, got {frame_length}")
    if not 1 <= frame_step <= frame_length // 2:
        raise ValueError(f"frame_step must lie in 1..frame_length/2 = 1..{frame_length // 2}, got {frame_step}")
    if fft_length is None:
        return 1 << (frame_length - 1).bit_length()
    if fft_length < frame_length or fft_length % 2:
        raise ValueError(f"fft_length must be even and at least frame_length = {frame_length}, got {fft_length}")
    return fft_length


def num_frames(length: Length, frame_length: int, frame_step: int) -> Length:
    """Return how many frames ``length`` samples have: ceil((length + frame_length - frame_step) / frame_step)."""
    return (length + frame_length - 1) // frame_step


def longest_signal(frames: int, frame_length: int, frame_step: int) -> int:
    """Return the largest number of samples that has no more than ``frames`` frames."""
    return frames * frame_step - (frame_length - frame_step)


def static_or_dynamic(tensor: tf.Tensor, axis: int) -> Length:
    """Return the size of an axis: a Python number where it is known at tracing time, else a scalar int32 tensor."""
    size = tensor.shape[axis]
    return tf.shape(tensor)[axis] if size is None else int(size)


def stft(x: tf.Tensor, frame_length: int, frame_step: int, fft_length: int | None = None) -> tf.Tensor:
    """Return the short-time Fourier transform of a waveform.

    Args:
        x: (..., time) float32 or float64, with at least one sample.
        frame_length: Samples of a frame, at least 2.
        frame_step: Samples between the starts of two frames, in 1..frame_length/2.
        fft_length: Samples of the zero-padded transform, even, at least ``frame_length``; None: the
            next power of two.

    Returns:
        (..., num_frames, num_bins) complex64 or complex128, with num_bins = fft_length / 2 + 1.

    Raises:
        ValueError: for lengths that do not fit each other, or no samples.
    """
    fft_length = check_framing(frame_length, frame_step, fft_length)
    x = tf.convert_to_tensor(x)
    time = static_or_dynamic(x, -1)
    if isinstance(time, int) and time < 1:
        raise ValueError(f"a signal must have at least 1 sample, got {time}")
    frames = num_frames(time, frame_length, frame_step)
    before = frame_length - frame_step
    after = (frames - 1) * frame_step + frame_length - before - time
    padded = tf.pad(x, [[0, 0]] * (x.shape.rank - 1) + [[before, after]])
    if isinstance(time, int):
        padded = tf.ensure_shape(padded, x.shape[:-1] + [before + time + after])
    return tf.signal.stft(padded, frame_length, frame_step, fft_length, window_fn=tf.signal.hann_window)


def inverse_stft(
    spectrum: tf.Tensor, frame_length: int, frame_step: int, fft_length: int | None = None, *, length: Length
) -> tf.Tensor:
    """Return the waveform whose short-time Fourier transform is nearest to ``spectrum``: exactly x for ``stft(x)``.

    Args:
        spectrum: (..., num_frames, num_bins) complex64 or complex128, in the layout of ``stft``.
        frame_length: As given to ``stft``.
        frame_step: As given to ``stft``.
        fft_length: As given to ``stft``.
        length: Samples of the waveform, at most ``longest_signal(num_frames, ...)``: a number or a
            scalar tensor.

    Returns:
        (..., length) float32 or float64.

    Raises:
        ValueError: for lengths that do not fit each other or the spectrum.
    """
    fft_length = check_framing(frame_length, frame_step, fft_length)
    spectrum = tf.convert_to_tensor(spectrum)
    frames, bins = spectrum.shape[-2], spectrum.shape[-1]
    if bins is not None and bins != fft_length // 2 + 1:
        raise ValueError(f"num_bins must be fft_length / 2 + 1 = {fft_length // 2 + 1}, got {bins}")
    if isinstance(length, int) and length < 1:
        raise ValueError(f"length must be at least 1 sample, got {length}")
    if frames is not None and isinstance(length, int) and length > longest_signal(frames, frame_length, frame_step):
        longest = longest_signal(frames, frame_length, frame_step)
        raise ValueError(f"{frames} frames hold at most {longest} samples, got length {length}")
    dual = tf.signal.inverse_stft_window_fn(frame_step, forward_window_fn=tf.signal.hann_window)
    window_fn = functools.partial(_in_real_dtype, dual)
    padded = tf.signal.inverse_stft(spectrum, frame_length, frame_step, fft_length, window_fn=window_fn)
    before = frame_length - frame_step
    return padded[..., before : before + length]


def _in_real_dtype(window_fn: Callable[..., tf.Tensor], frame_length: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Call a window function with its arguments by name, as ``tf.signal.inverse_stft_window_fn`` wants them."""
    return window_fn(frame_length, dtype=dtype)
