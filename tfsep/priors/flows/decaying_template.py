r"""A periodic template of notes at any pitch that decay.

A note over L samples, time t counted from the middle of the event in units of it, is

.. math:: u(t) = a\, e^{-\kappa (t + 1/2)}\, w(f t + \varphi)

with the period w of :mod:`tfsep.priors.flows.periodic_template`, any pitch f in a range, in periods
per event, and any decay :math:`\kappa`, in nepers per event, whose logarithm is taken as normal with
the mean and the deviation of a uniform one. Every other sample is given, with noise of deviation
sigma.

**Search.** As for notes that do not decay, over pitches a third of a bin apart (a 50th of the pitch,
where that is less), with the lowest partials, all at the decay :math:`\kappa_0` of the mean
logarithm: the correlation of the samples with a decaying note is that of the decaying samples with
a steady one, and energies are smaller by the mean of :math:`e^{-2 \kappa_0 (t + 1/2)}`. The
likeliest pitches of different peaks are refined.

**Refinement.** Gauss-Newton steps move phase, amplitude, pitch and the logarithm of the decay
together, each with more partials than the one before. Amplitude and decay are drawn to their
priors; the pitch is drawn to where the search found it with a deviation of a seventh of a bin. What
the note so far leaves of the samples counts as noise besides sigma, so that steps are short where
other sounds are louder.

Source: the matched filter and Gauss-Newton steps are textbook (Kay 1993, Fundamentals of
Statistical Signal Processing I, sections 7.7 and 8.9).
"""

from __future__ import annotations

import math
from typing import NamedTuple, Unpack

import numpy as np
import tensorflow as tf

from tfsep import bijectors
from tfsep.networks.layer_arguments import LayerArguments
from tfsep.priors.flows.periodic_template import Found, PeriodicTemplate, read, tapered

_SPACING, _RELATIVE_SPACING = 0.35, 0.02
_TAPERS = (3.0, 6.0, 12.0, 24.0, 48.0, 96.0)
_PITCH_DEVIATION = 0.15
_SEARCHED, _PEAK = 4, 7
# Of a squared direction whose length is 1: steps stay finite where the samples say nothing of one.
_DAMPING = 3e-2


class Note(NamedTuple):
    """Notes (batch, note): pitch in periods per event, phase at its middle, amplitude at its start, log-decay."""

    pitch: tf.Tensor
    phase: tf.Tensor
    amplitude: tf.Tensor
    log_decay: tf.Tensor


class DecayingTemplate(PeriodicTemplate):
    """The weights of a template of decaying notes; see the module's text.

    Args:
        length: samples of an event, even.
        pitch_range: lowest and highest pitch in periods per event, above 1 and below half the length.
        decay_range: smallest and largest decay in nepers per event, above 0.
        num_partials: partials of the period, at least 1; the first one alone sounds at first.
        num_notes: likeliest peaks that are refined, at least 1.

    Raises:
        ValueError: for a size or range that is none.
    """

    tunes = False

    def __init__(
        self,
        length: int,
        pitch_range: tuple[float, float],
        decay_range: tuple[float, float],
        num_partials: int = 4096,
        num_notes: int = 3,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        """Create a sine at any pitch of the range."""
        if not 0.0 < decay_range[0] < decay_range[1]:
            raise ValueError(f"decays of a template must ascend above 0 nepers per event, got {decay_range}")
        pitches = searched_pitches(*pitch_range)
        super().__init__(length, pitches, num_partials, _SEARCHED, num_notes, **kwargs)
        shortest, longest = (math.log(decay) for decay in decay_range)
        self.log_decay, self.decay_deviation = 0.5 * (shortest + longest), (longest - shortest) / math.sqrt(12.0)
        self.peak_width = _PEAK
        self.mean_envelope = float(np.mean(np.exp(-2.0 * math.exp(self.log_decay) * (self.time + 0.5))))

    def find(
        self,
        given: tf.Tensor,
        samples: tf.Tensor,
        part: int,
        partials: tf.Tensor,
        variance: tf.Tensor,
        ridge: tf.Tensor,
    ) -> Found:
        """Search and refine; see :meth:`PeriodicTemplate.find`."""
        fixed = tf.stop_gradient(partials)
        start = tf.fill(tf.shape(samples)[:2], tf.constant(self.log_decay, self.tf_dtype))
        faded = samples * self._envelope(start, part)
        searched, others = self.search(self._bins(faded[:, 0], part), part, fixed, variance, ridge)
        pitch = tf.gather(self.tuned_pitches(), searched.index)
        note = Note(pitch, searched.phase, searched.amplitude, tf.zeros_like(pitch) + self.log_decay)
        for taper in _TAPERS:
            note = self._refined(note, pitch, samples, part, tapered(fixed, taper), variance, ridge)
        waves = read([self.table(partials)], self.cycles(note.phase, note.pitch))[0] * self._envelope(note.log_decay)
        log_prior = -0.5 * ((note.log_decay - self.log_decay) / self.decay_deviation) ** 2
        return Found(waves, note.pitch, log_prior, others)

    def _bins(self, samples: tf.Tensor, part: int) -> tf.Tensor:
        """Transform samples ``part``, ``part`` + 2, ... of events, (batch, length / 2), to bins of that part."""
        both = tf.reshape(tf.stack([samples, samples], axis=2), [-1, self.length, 1])
        return bijectors.RealFourier(self.tf_dtype, num_parts=2).inverse_and_log_det(both)[0][:, part::2]

    def _envelope(self, log_decay: tf.Tensor, part: int | None = None) -> tf.Tensor:
        """Evaluate the decay of notes (batch, note) at all samples or those of a part: (batch, note, time)."""
        time = self.time if part is None else self.time[part::2]
        return tf.exp(-tf.exp(log_decay)[..., tf.newaxis] * tf.constant(time + 0.5, self.tf_dtype))

    def _refined(
        self,
        note: Note,
        searched: tf.Tensor,
        samples: tf.Tensor,
        part: int,
        partials: tf.Tensor,
        variance: tf.Tensor,
        ridge: tf.Tensor,
    ) -> Note:
        """Take one Gauss-Newton step in phase, pitch, amplitude and log-decay."""
        time = tf.constant(self.time[part::2], self.tf_dtype)
        tables = [self.table(partials), self.table(partials, derivative=True)]
        period, slope = read(tables, self.cycles(note.phase, note.pitch, part))
        envelope = self._envelope(note.log_decay, part)
        loud = note.amplitude[..., tf.newaxis]
        own, by_phase = envelope * period, loud * envelope * slope
        fading = -tf.exp(note.log_decay)[..., tf.newaxis] * (time + 0.5)
        directions = tf.stack([by_phase, by_phase * time, own, loud * own * fading], axis=-2)
        rest = samples - loud * own
        # Of phase, pitch, amplitude and log-decay: the precision of each prior times the variance of what is left.
        scaled = variance + tf.reduce_mean(rest**2, axis=-1)
        precision = tf.stack(
            [
                tf.zeros_like(scaled),
                scaled / _PITCH_DEVIATION**2,
                ridge / variance * scaled,
                scaled / self.decay_deviation**2,
            ],
            axis=-1,
        )
        drawn = tf.stack(
            [
                tf.zeros_like(scaled),
                searched - note.pitch,
                1.0 - note.amplitude,
                self.log_decay - note.log_decay,
            ],
            axis=-1,
        )
        slopes = tf.linalg.matvec(directions, rest) + precision * drawn
        square = tf.matmul(directions, directions, transpose_b=True) + tf.linalg.diag(precision)
        step = _solved(square, slopes)
        furthest = 1.0 / max(6.0, partials.shape[0] / 4.0)
        limits = tf.constant([furthest, _PITCH_DEVIATION, 1.0, 0.7], self.tf_dtype)
        moved = tf.unstack(tf.clip_by_value(step, -limits, limits), axis=-1)
        reach = 3.0 * self.decay_deviation
        return Note(
            tf.maximum(note.pitch + moved[1], 1.0),
            note.phase + moved[0],
            tf.clip_by_value(note.amplitude + moved[2], 0.3, 3.0),
            tf.clip_by_value(note.log_decay + moved[3], self.log_decay - reach, self.log_decay + reach),
        )


def searched_pitches(low: float, high: float) -> np.ndarray:
    """Return the pitches that are searched, in periods per event.

    Raises:
        ValueError: for a range that does not ascend above 0.
    """
    if not 0.0 < low < high:
        raise ValueError(f"the range of pitches must ascend above 0 periods per event, got {low:g} to {high:g}")
    pitches = [low]
    while pitches[-1] < high:
        pitches.append(pitches[-1] + min(_SPACING, _RELATIVE_SPACING * pitches[-1]))
    return np.array(pitches[:-1]) if len(pitches) > 1 else np.array(pitches)


def _solved(square: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """Solve systems (..., 4, 4) that are positive semidefinite, damped, and scaled to a diagonal of ones."""
    scale = 1.0 / tf.sqrt(tf.linalg.diag_part(square) + 1e-6)
    unit = square * scale[..., tf.newaxis] * scale[..., tf.newaxis, :]
    unit += _DAMPING * tf.eye(4, dtype=square.dtype)
    # A factorisation ends the program at what is not finite; the step of such an event is not finite either way.
    finite = tf.reduce_all(tf.math.is_finite(unit), axis=[-2, -1], keepdims=True)
    factor = tf.linalg.cholesky(tf.where(finite, unit, tf.eye(4, dtype=square.dtype)))
    return tf.linalg.cholesky_solve(factor, (right * scale)[..., tf.newaxis])[..., 0] * scale
