"""Estimate a waveform from a magnitude spectrogram without phase.

The fast Griffin-Lim algorithm (Perraudin, Balazs and Sondergaard, 2013, algorithm 2) alternates two
projections, onto the spectra with the wanted magnitude A, P_1(c) = A c / |c|, and onto the spectra
of signals, P_2(c) = stft(inverse_stft(c)), with a momentum alpha:

    t_n = P_2(P_1(c_(n-1))),    c_n = t_n + alpha (t_n - t_(n-1)).

alpha = 0 is the algorithm of Griffin and Lim (1984), which never moves away from A.
"""

from __future__ import annotations

import math

import tensorflow as tf

from tfsep.audio.stft import Length, check_framing, inverse_stft, stft


def polar(magnitude: tf.Tensor, phase: tf.Tensor) -> tf.Tensor:
    """Return the complex numbers of a magnitude and a phase in radians, both of one real type and shape."""
    return tf.complex(magnitude * tf.math.cos(phase), magnitude * tf.math.sin(phase))


def phase_of(spectrum: tf.Tensor) -> tf.Tensor:
    """Return the phase of complex numbers in radians, in (-pi, pi]; 0 for zero, with a finite gradient."""
    return tf.math.angle(tf.where(tf.equal(spectrum, 0), tf.ones_like(spectrum), spectrum))


def griffin_lim(
    magnitude: tf.Tensor,
    frame_length: int,
    frame_step: int,
    fft_length: int | None = None,
    *,
    length: Length,
    iterations: int = 32,
    momentum: float = 0.99,
    seed: tf.Tensor | tuple[int, int] = (0, 0),
) -> tf.Tensor:
    """Estimate a waveform from the magnitude of its short-time Fourier transform.

    Args:
        magnitude: (..., num_frames, num_bins) float32 or float64, not negative, in the layout of
            ``stft.stft``.
        frame_length: As given to ``stft.stft``.
        frame_step: As given to ``stft.stft``.
        fft_length: As given to ``stft.stft``.
        length: Samples of the waveform; its STFT has the frames of ``magnitude`` or fewer (then
            silence follows).
        iterations: Number of rounds, at least 0.
        momentum: alpha, in 0..1 (1 excluded).
        seed: Two integers, the seed of the first phase (uniform; the same with and without XLA).

    Returns:
        (..., length), of the type of ``magnitude``.

    Raises:
        ValueError: for lengths that do not fit each other, negative iterations, or a momentum
            outside [0, 1).
    """
    fft_length = check_framing(frame_length, frame_step, fft_length)
    if iterations < 0:
        raise ValueError(f"iterations must be at least 0, got {iterations}")
    if not 0.0 <= momentum < 1.0:
        raise ValueError(f"momentum must lie in [0, 1), got {momentum}")
    magnitude = tf.convert_to_tensor(magnitude)
    pi = math.pi
    phase = tf.random.stateless_uniform(tf.shape(magnitude), seed, -pi, pi, magnitude.dtype, alg="philox")
    spectrum = polar(magnitude, phase)

    def project(guess: tf.Tensor) -> tf.Tensor:
        signal = inverse_stft(polar(magnitude, phase_of(guess)), frame_length, frame_step, fft_length, length=length)
        return _with_frames_of(stft(signal, frame_length, frame_step, fft_length), magnitude)

    def body(index: tf.Tensor, guess: tf.Tensor, previous: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        current = project(guess)
        return index + 1, current + tf.cast(momentum, current.dtype) * (current - previous), current

    loop = (tf.constant(0), tf.ensure_shape(spectrum, magnitude.shape), tf.zeros_like(spectrum))
    _, spectrum, _ = tf.while_loop(lambda index, *_: index < iterations, body, loop, maximum_iterations=iterations)
    return inverse_stft(polar(magnitude, phase_of(spectrum)), frame_length, frame_step, fft_length, length=length)


def _with_frames_of(spectrum: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """Append silent frames up to the number that ``like`` has."""
    missing = tf.shape(like)[-2] - tf.shape(spectrum)[-2]
    padded = tf.pad(spectrum, [[0, 0]] * (spectrum.shape.rank - 2) + [[0, missing], [0, 0]])
    return tf.ensure_shape(padded, like.shape)
