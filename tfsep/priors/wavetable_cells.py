r"""The integral over notes: which pitch, decay and phase explain a sound, and how much each weighs.

A note is :math:`u(t) = e^{-r\tau} w(f\tau' + \varphi)`, :math:`\tau` the seconds since the event's start and
:math:`\tau'` those since its middle. Its pitch, decay and phase fill a box of cells. All cells are scored at once in
the spectrum: with :math:`c_k` the Fourier coefficients of w and Y the spectrum of :math:`y e^{-r\tau}`, the inner
products with every phase are one short inverse transform of :math:`c_k \overline{Y(kf)}`, a harmonic above
half the sample rate being read where it folds. The likeliest cells are divided, their parts rendered in time, the
likeliest of those divided again: the midpoint rule of an integral, fine where the mass lies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

PADDING = 16


@dataclass(frozen=True)
class Box:
    """How the cells lie, and how they are divided.

    Attributes:
        length: samples of an event.
        sample_rate: Hz.
        num_phases: phase cells of each pitch.
        pitch_width: Hz of a pitch cell, 0 where pitches are separate.
        decay_width: nats of a cell of the log decay rate, 0 where there is one.
        num_refined: cells divided in each round.
        num_rounds: how often cells are divided.
    """

    length: int
    sample_rate: int
    num_phases: int
    pitch_width: float
    decay_width: float
    num_refined: int
    num_rounds: int

    @property
    def parts(self) -> tuple[int, int, int]:
        """Parts of a divided cell along pitch, phase and decay."""
        return (4 if self.pitch_width else 1, 4 if self.pitch_width else 16, 2 if self.decay_width else 1)

    def offsets(self, number: int, dtype: tf.DType) -> tf.Tensor:
        """Where the parts of a cell of round ``number`` lie from its middle: (part, 3), pitch, phase, decay."""
        widths = (self.pitch_width, 1.0 / self.num_phases, self.decay_width)
        axes = [
            ((np.arange(parts) + 0.5) / parts - 0.5) * width / parts**number
            for parts, width in zip(self.parts, widths, strict=True)
        ]
        return tf.constant(np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3), dtype)

    def envelopes(self, log_rate: tf.Tensor) -> tf.Tensor:
        """Decays from the event's start: (...,) log rates in 1/s -> (..., time)."""
        seconds = tf.range(self.length, dtype=log_rate.dtype) / self.sample_rate
        return tf.exp(-tf.exp(log_rate)[..., tf.newaxis] * seconds)

    def render(self, table: tf.Tensor, notes: tf.Tensor) -> tf.Tensor:
        """Notes (..., 3), pitch in Hz, phase in periods, log decay rate, played with a period: (..., time)."""
        seconds = (tf.range(self.length, dtype=notes.dtype) - self.length // 2) / self.sample_rate
        place = tf.math.floormod(notes[..., 0, tf.newaxis] * seconds + notes[..., 1, tf.newaxis], 1.0)
        place *= table.shape[0]
        below = tf.floor(place)
        index = tf.cast(below, tf.int32) % table.shape[0]
        both = tf.gather(tf.stack([table, tf.roll(table, -1, 0)], -1), index)
        wave = both[..., 0] + (place - below) * (both[..., 1] - both[..., 0])
        return wave * self.envelopes(notes[..., 2]) if self.decay_width else wave

    def harmonics(self, table: tf.Tensor) -> tf.Tensor:
        """Fourier coefficients of a period that find cells: (num_phases / 2,), the constant first."""
        return tf.signal.rfft(table)[: self.num_phases // 2] / tf.cast(table.shape[0], tf.signal.rfft(table).dtype)

    def inner_products(self, frames: tf.Tensor, harmonics: tf.Tensor, frequency: tf.Tensor) -> tf.Tensor:
        """Inner products of frames (decay, time) with every pitch and phase: (decay, pitch, phase)."""
        points = PADDING * self.length
        middle = self.length // 2
        gap = tf.zeros([frames.shape[0], points - self.length], frames.dtype)
        centred = tf.concat([frames[:, middle:], gap, frames[:, :middle]], axis=-1)
        spectrum = tf.signal.rfft(centred)
        order = tf.range(harmonics.shape[0], dtype=frequency.dtype)
        turns = tf.math.floormod(frequency[:, tf.newaxis] * order / self.sample_rate, 1.0)
        folded = turns > 0.5
        bins = tf.cast(tf.round(tf.where(folded, 1.0 - turns, turns) * points), tf.int32)
        read = tf.gather(spectrum, bins, axis=1)
        sign = tf.where(folded, 1.0, -1.0)
        read = tf.complex(tf.math.real(read), tf.cast(sign, frames.dtype) * tf.math.imag(read))
        return self.num_phases * tf.signal.irfft(harmonics * read, [self.num_phases])


def log_evidence(inner: tf.Tensor, energy: tf.Tensor, variance: tf.Tensor, amplitude: tf.Tensor) -> tf.Tensor:
    r"""log p(y|u) - log N(y; 0, v I), the amplitude integrated over N(mu, s^2) cut off at zero: any shape.

    Args:
        inner: u^T y.
        energy: n = |u|^2.
        variance: v.
        amplitude: (2,): mu and s.
    """
    mean, spread = amplitude[0], amplitude[1] ** 2
    precision = energy / variance + 1.0 / spread
    linear = inner / variance + mean / spread
    gaussian = 0.5 * (linear**2 / precision - mean**2 / spread - tf.math.log1p(spread * energy / variance))
    return gaussian + _log_positive(linear / tf.sqrt(precision), amplitude)


def log_likelihood(y: tf.Tensor, waves: tf.Tensor, variance: tf.Tensor, amplitude: tf.Tensor) -> tf.Tensor:
    """log p(y|u) without its constant -D/2 log(2 pi v): (time,), (part, time) -> (part,).

    It is :func:`log_evidence` written with residuals, which are exact where differences of large numbers are not.
    """
    mean, spread = amplitude[0], amplitude[1] ** 2
    energy = tf.reduce_sum(waves**2, -1)
    precision = energy / variance + 1.0 / spread
    linear = tf.linalg.matvec(waves, y) / variance + mean / spread
    best = tf.stop_gradient(linear / precision)
    rest = tf.reduce_sum((y - best[:, tf.newaxis] * waves) ** 2, -1)
    gaussian = -0.5 * (rest / variance + (best - mean) ** 2 / spread + tf.math.log1p(spread * energy / variance))
    return gaussian + _log_positive(linear / tf.sqrt(precision), amplitude)


def _log_positive(standard: tf.Tensor, amplitude: tf.Tensor) -> tf.Tensor:
    """Log of the share of an amplitude's posterior above zero over that of its prior."""
    normal = tfd.Normal(tf.zeros([], standard.dtype), 1.0)
    return normal.log_cdf(standard) - normal.log_cdf(amplitude[0] / amplitude[1])
