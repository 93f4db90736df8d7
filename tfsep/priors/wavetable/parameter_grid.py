r"""The parameter grid: cells of pitch, phase and decay, over which a density sums the notes that explain a sound.

A note is :math:`u(t) = e^{-r\tau} w(f\tau' + \varphi)`, :math:`\tau` the seconds since the event's
start and :math:`\tau'` those since its middle. Its pitch, decay and phase lie in the cells of a
grid. All cells are evaluated at once in the spectrum: with :math:`c_k` the Fourier coefficients of w
and Y the spectrum of :math:`y e^{-r\tau}`, the inner products with every phase are one short
inverse transform of :math:`c_k \overline{Y(kf)}`, a harmonic above half the sample rate being read
where it folds. The likeliest cells are divided, their parts rendered in time, the likeliest of
those divided again (inference.py): the midpoint rule of an integral, fine where the mass lies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

_SHORTEST = 64
#: Points of the table that a part must span for its waves to be read at the nearest of them.
_WIDE = 2.0


@dataclass(frozen=True)
class ParameterGrid:
    """The cells, and how they are divided.

    Attributes:
        length: samples of an event.
        sample_rate: Hz.
        num_phases: phase cells of each pitch.
        pitch_width: Hz of a pitch cell, 0 where pitches are separate.
        decay_width: nats of a cell of the log decay rate, 0 where there is one.
        num_refined: cells divided in each round.
        num_rounds: how often cells are divided.
        padding: length of the padded event whose spectrum is read, in events.
    """

    length: int
    sample_rate: int
    num_phases: int
    pitch_width: float
    decay_width: float
    num_refined: int
    num_rounds: int
    padding: int = 16

    @property
    def parts(self) -> tuple[int, int, int]:
        """Return the number of parts of a divided cell along pitch, phase and decay."""
        return (4 if self.pitch_width else 1, 4 if self.pitch_width else 16, 2 if self.decay_width else 1)

    def offsets(self, number: int) -> np.ndarray:
        """Return the offsets of a cell's parts in round ``number`` from its middle: (part, 3), pitch, phase, decay."""
        widths = (self.pitch_width, 1.0 / self.num_phases, self.decay_width)
        axes = [
            ((np.arange(parts) + 0.5) / parts - 0.5) * width / parts**number
            for parts, width in zip(self.parts, widths, strict=True)
        ]
        return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)

    def envelopes(self, log_rate: tf.Tensor) -> tf.Tensor:
        """Return decays from the event's start: (...,) log rates in 1/s -> (..., time)."""
        seconds = tf.range(self.length, dtype=log_rate.dtype) / self.sample_rate
        return tf.exp(-tf.exp(log_rate)[..., tf.newaxis] * seconds)

    def interpolation_table(self, table: tf.Tensor) -> tf.Tensor:
        """Return a period's table for linear interpolation: (point + 1,) complex, a value and the step to the next."""
        wrapped = tf.concat([table, table[:2]], 0)
        return tf.complex(wrapped[:-1], wrapped[1:] - wrapped[:-1])

    def play(self, interpolation: tf.Tensor, frequency: tf.Tensor, phase: tf.Tensor) -> tf.Tensor:
        """Play an interpolation table at pitches in Hz and phases in periods (...,), not decaying: (..., time)."""
        cycles = self._cycles(frequency, phase)
        position = (cycles - tf.floor(cycles)) * (interpolation.shape[0] - 1)
        below = tf.floor(position)
        read = tf.gather(interpolation, tf.cast(below, tf.int32))
        return tf.math.real(read) + (position - below) * tf.math.imag(read)

    def shifted_tables(self, table: tf.Tensor) -> tuple[tf.Tensor | None, ...]:
        """Return for each round a period's table (point,) at the phases of a cell's parts: (point + 1, part).

        Row n holds the points n plus the parts' offsets, so that one read serves all parts. None
        stands for the last round, and for parts that differ in more than phase or span less than
        two points: their waves are interpolated.
        """
        size = table.shape[0]
        found: list[tf.Tensor | None] = []
        for number in range(self.num_rounds):
            shifts = np.rint(self.offsets(number)[:, 1] * size).astype(int) % size
            wide = size / self.num_phases / self.parts[1] ** (number + 1) >= _WIDE
            if number == self.num_rounds - 1 or self.pitch_width or self.decay_width or not wide:
                found.append(None)
                continue
            twice = tf.concat([table, table], 0)
            found.append(tf.transpose(tf.stack([twice[shift : shift + size + 1] for shift in shifts])))
        return tuple(found)

    def play_parts(self, shifted: tf.Tensor, frequency: tf.Tensor, phase: tf.Tensor) -> tf.Tensor:
        """Play all parts of cells (cell,) at the nearest points of a round's shifted table: (cell, part, time).

        Every sample's phase is then off by at most half a point, less than half a part.
        """
        cycles = self._cycles(frequency, phase)
        nearest = tf.cast((cycles - tf.floor(cycles)) * (shifted.shape[0] - 1) + 0.5, tf.int32)
        return tf.transpose(tf.gather(shifted, nearest), [0, 2, 1])

    def _cycles(self, frequency: tf.Tensor, phase: tf.Tensor) -> tf.Tensor:
        """Return the periods since the start of one, at pitches and phases (...,): (..., time)."""
        seconds = (tf.range(self.length, dtype=phase.dtype) - self.length // 2) / self.sample_rate
        return frequency[..., tf.newaxis] * seconds + phase[..., tf.newaxis]

    def render(self, table: tf.Tensor, notes: tf.Tensor) -> tf.Tensor:
        """Render notes (..., 3), pitch in Hz, phase in periods, log decay rate, with a period (point,): (..., time)."""
        wave = self.play(self.interpolation_table(table), notes[..., 0], notes[..., 1])
        return wave * self.envelopes(notes[..., 2]) if self.decay_width else wave

    def harmonics(self, table: tf.Tensor) -> tf.Tensor:
        """Return the Fourier coefficients of a period that find cells: (num_phases / 2,), the constant first."""
        spectrum = tf.signal.rfft(table)
        return spectrum[: self.num_phases // 2] / tf.cast(table.shape[0], spectrum.dtype)

    @property
    def points(self) -> int:
        """Return the number of samples of the padded event whose spectrum is read."""
        return self.padding * max(self.length, _SHORTEST)

    def bins(self, frequency: tf.Tensor) -> tf.Tensor:
        """Return the bins of harmonics of pitches in Hz (pitch,) in a spectrum's conjugate and the spectrum behind it.

        Returns:
            (pitch, num_phases / 2) int32.
        """
        order = tf.range(self.num_phases // 2, dtype=frequency.dtype)
        cycles = frequency[:, tf.newaxis] * order / self.sample_rate
        cycles -= tf.floor(cycles)
        folded = cycles > 0.5
        bins = tf.cast(tf.round(tf.where(folded, 1.0 - cycles, cycles) * self.points), tf.int32)
        return bins + tf.where(folded, self.points // 2 + 1, 0)

    def inner_products(self, frames: tf.Tensor, harmonics: tf.Tensor, bins: tf.Tensor) -> tf.Tensor:
        """Compute inner products of frames (decay, time) with every pitch and phase: (decay, pitch, phase)."""
        middle = self.length // 2
        gap = tf.zeros([frames.shape[0], self.points - self.length], frames.dtype)
        spectrum = tf.signal.rfft(tf.concat([frames[:, middle:], gap, frames[:, :middle]], axis=-1))
        read = tf.gather(tf.concat([tf.math.conj(spectrum), spectrum], -1), bins, axis=1)
        return self.num_phases * tf.signal.irfft(harmonics * read, [self.num_phases])
