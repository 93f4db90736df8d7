r"""A periodic template: what every other sample of a note says about the others, the phases of all partials included.

A note over L samples, time t counted from the middle of the event in units of it, is

.. math:: u(t) = a\, w(f t + \varphi), \qquad
          w(c) = \mathrm{Re} \sum_{k=1}^{K} c_k e^{2 \pi i k c},

with learned partials :math:`c_k` and a learned set of pitches f, in periods per event. Partials
above half the sample rate fold as those of a naive oscillator do. Given are the even samples of the
event or the odd ones, M = L / 2 of them, with noise of deviation sigma, and the note is found from
these alone. Each half holds half the energy of any note, whatever its pitch, so both find the same
one; of every other bin of the whole event, some notes would leave one half nothing.

**Search.** Partial k of a note reaches bin b of the half with the real weight
:math:`D(k f - b) \sqrt{M / 2}`, :math:`D(d) = \sin(\pi d) / (M \sin(\pi d / M))`
(:mod:`tfsep.bijectors.real_fourier`); above M / 2 it is seen at M - k f, with the conjugate phase
turned by a quarter. With y the two bins next to every partial, weighted so and summed, a note of
pitch f and phase :math:`\varphi` has the correlation
:math:`m = \mathrm{Re} \sum_k \bar c_k y_k e^{-2 \pi i k \varphi}` and the energy
:math:`n = \sum_k |c_k|^2 \sum D^2 M / 2`. The amplitude is normal about 1 with a learned deviation
:math:`\tau`, so :math:`\hat a = (m + \sigma^2 / \tau^2) / (n + \sigma^2 / \tau^2)` and the
log-likelihood ratio is

.. math:: g = (\hat a m - \tfrac12 \hat a^2 n) / \sigma^2 - (\hat a - 1)^2 / 2 \tau^2.

All pitches and a grid of phases are tried with the lowest partials.

**Refinement.** In the likeliest pitches, Gauss-Newton steps move phase and amplitude together, each
with more partials than the one before, weighted by :math:`e^{-k^2 / 2 K_i^2}`, to fit the given
samples.

**Template.** With all partials, m, n and :math:`\hat a` are computed again, and the template is the
mean of the notes under their posterior probabilities, which are proportional to :math:`e^g`; the
pitches that were not refined take part in these with the g of the search, and with no wave.

A template is a function of the given bins only, so a coupling that uses it stays a bijection.
Partials, pitches and :math:`\tau` are learned by gradients through the last stage; the search and the
refinement take them as they are. Gradients in the given bins pass through all stages, and the
choice of pitch and of the phase's cell is piecewise constant.

Sources: the matched filter and Gauss-Newton steps are textbook (Kay 1993, Fundamentals of
Statistical Signal Processing I, sections 7.7 and 8.9).
"""

from __future__ import annotations

import math
from typing import NamedTuple, Unpack

import numpy as np
import tensorflow as tf

from tfsep import bijectors
from tfsep.networks.layer_arguments import LayerArguments
from tfsep.priors.flows.flow_layers import FlowLayer

#: Numbers that describe how well a template fits.
NUM_FEATURES = 4
_TAPERS = (6.0, 24.0, 96.0)
_PHASES_PER_PARTIAL = 8
_POINTS_PER_PARTIAL = 4
# Steps of the optimiser are of one size for all weights, so these choose what a step means.
_PARTIAL_UNIT = 10.0
_TUNING_UNIT = 1e-3
_SPREAD_UNIT = 5.0
_FIRST_LOG_SPREAD = -1.0


class Template(NamedTuple):
    """Templates of a batch of events.

    Attributes:
        bins: all their bins, (batch, bin, 2).
        spread: variance of the bins among the likeliest notes, in each real coordinate, (batch, bin).
        certainty: probability that the note is one of these, (batch,).
        pitch: mean pitch in periods per event, (batch,).
        features: squashed log-likelihood ratio, probability of the likeliest note, log-pitch, and
            log-energy in the given bins, (batch, 4).
    """

    bins: tf.Tensor
    spread: tf.Tensor
    certainty: tf.Tensor
    pitch: tf.Tensor
    features: tf.Tensor


class Notes(NamedTuple):
    """Notes (batch, note): index of the pitch, phase in periods at the middle of the event, amplitude."""

    index: tf.Tensor
    phase: tf.Tensor
    amplitude: tf.Tensor


class Found(NamedTuple):
    """Notes that were found in every other sample of events.

    Attributes:
        waves: all their samples at amplitude 1, (batch, note, time).
        pitch: in periods per event, (batch, note).
        log_prior: of what else was found, less its largest value, in nats, (batch, note).
        others: log-likelihood ratio of all other notes together, (batch, 1).
    """

    waves: tf.Tensor
    pitch: tf.Tensor
    log_prior: tf.Tensor
    others: tf.Tensor


class PeriodicTemplate(FlowLayer):
    """The weights of a template, and how it is found; see the module's text.

    Args:
        length: samples of an event, even.
        pitches: fundamentals at first, in periods per event, each above 1 and below half the
            length.
        num_partials: partials of the period, at least 1; the first one alone sounds at first.
        num_searched: partials that the search looks at, at most all.
        num_notes: likeliest pitches that are refined, at least 1.

    Attributes:
        tunes: whether each pitch is learned.
        peak_width: neighbouring pitches that the search takes for one note.
        mean_envelope: mean square of the envelope of a note that is searched for.

    Raises:
        ValueError: for a size or pitch out of its range.
    """

    tunes = True

    def __init__(
        self,
        length: int,
        pitches: np.ndarray,
        num_partials: int = 4096,
        num_searched: int = 16,
        num_notes: int = 2,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        """Create a sine at the given pitches."""
        super().__init__(2, **kwargs)
        if num_partials < 1:
            raise ValueError(f"a periodic template needs at least 1 partial, got {num_partials}")
        if len(pitches) < 1:
            raise ValueError("a periodic template needs at least 1 pitch, got none")
        low, high = float(np.min(pitches)), float(np.max(pitches))
        if not 1.0 < low <= high < length / 2:
            raise ValueError(
                f"pitches of a periodic template must lie within 1..{length // 2} periods of its {length} samples, "
                f"got {low:g} to {high:g}"
            )
        self.length, self.pitches, self.num_partials = length, np.asarray(pitches, np.float64), num_partials
        self.num_searched, self.num_notes = min(num_searched, num_partials), min(num_notes, len(pitches))
        partials = np.zeros((num_partials, 2))
        partials[0, 0] = 1.0 / _PARTIAL_UNIT
        self.partials = self.free_weight("partials", partials)
        if self.tunes:
            self.tuning = self.free_weight("tuning", np.zeros(len(pitches)))
        self.log_spread = self.free_weight("log_spread", _FIRST_LOG_SPREAD / _SPREAD_UNIT)
        self.time = (np.arange(length) - (length - 1) / 2) / length
        self.peak_width, self.mean_envelope = 1, 1.0

    def coefficients(self) -> tf.Tensor:
        """Return the complex amplitudes of the partials at amplitude 1: (partial,)."""
        order = np.arange(1, self.num_partials + 1)[:, np.newaxis]
        value = tf.convert_to_tensor(self.partials) * tf.constant(_PARTIAL_UNIT / order, self.tf_dtype)
        return tf.complex(value[:, 0], value[:, 1])

    def tuned_pitches(self) -> tf.Tensor:
        """Return the pitches in periods per event, as learned where each is: (pitch,)."""
        pitches = tf.constant(self.pitches, self.tf_dtype)
        return pitches * tf.exp(_TUNING_UNIT * tf.convert_to_tensor(self.tuning)) if self.tunes else pitches

    def fit(self, given: tf.Tensor, part: int, sigma: tf.Tensor) -> Template:
        """Find the template of events of which every other sample is given, as bins.

        Args:
            given: bins of the samples ``part``, ``part`` + 2, ..., (batch, length / 4, 2), as those of
                :class:`tfsep.bijectors.RealFourier` with two parts.
            part: 0 or 1.
            sigma: noise levels, (batch,).

        Raises:
            ValueError: for another part.
        """
        if part not in (0, 1):
            raise ValueError(f"part must be 0 or 1, got {part}")
        fourier = bijectors.RealFourier(self.tf_dtype, num_parts=2)
        both = tf.stack([given, given], axis=2)
        whole = fourier.forward_and_log_det(tf.reshape(both, [-1, self.length // 2, 2]))[0]
        samples = whole[:, part::2, 0][:, tf.newaxis]
        variance = sigma[:, tf.newaxis] ** 2
        partials, spread = self.coefficients(), tf.exp(2.0 * _SPREAD_UNIT * tf.convert_to_tensor(self.log_spread))
        found = self.find(given, samples, part, partials, variance, variance / tf.stop_gradient(spread))
        own, ridge = found.waves[..., part::2], variance / spread
        correlation, energy = tf.reduce_sum(samples * own, -1), tf.reduce_sum(own**2, -1)
        amplitude, gain = _amplitude_and_gain(correlation, energy, variance, ridge)
        gain += found.log_prior
        probability = tf.nn.softmax(tf.concat([gain, found.others], axis=-1), axis=-1)[:, :-1]
        certainty = tf.reduce_sum(probability, axis=-1)
        notes_in_time = tf.reshape(amplitude[..., tf.newaxis] * found.waves, [-1, self.length, 1])
        bins = fourier.inverse_and_log_det(notes_in_time)[0]
        bins = tf.reshape(bins, [-1, self.num_notes, self.length // 2, 2])
        each = probability[:, :, tf.newaxis, tf.newaxis]
        mean = tf.reduce_sum(each * bins, axis=1)
        spread = 0.5 * tf.reduce_sum(tf.reduce_sum(each * bins**2, axis=1) - mean**2, axis=-1)
        kept = probability / (certainty[:, tf.newaxis] + 1e-9)
        mean_pitch = tf.reduce_sum(kept * found.pitch, -1) + 1e-3
        features = [
            tf.asinh(0.1 * tf.reduce_max(gain, -1)),
            tf.reduce_max(probability, -1),
            tf.math.log(mean_pitch),
            tf.math.log(tf.reduce_sum(kept * energy, -1) / self.length + 1e-4),
        ]
        return Template(mean, tf.maximum(spread, 0.0), certainty, mean_pitch, 0.25 * tf.stack(features, axis=-1))

    def find(
        self,
        given: tf.Tensor,
        samples: tf.Tensor,
        part: int,
        partials: tf.Tensor,
        variance: tf.Tensor,
        ridge: tf.Tensor,
    ) -> Found:
        """Search for the likeliest notes and refine them, with the partials as they are.

        Args:
            given: bins of every other sample, (batch, length / 4, 2).
            samples: the same samples, (batch, 1, length / 2).
            part: 0 or 1.
            partials: complex amplitudes, (partial,); gradients reach them by the waves alone.
            variance: of the noise, (batch, 1).
            ridge: the same over that of the amplitude, (batch, 1).
        """
        fixed = tf.stop_gradient(partials)
        notes, others = self.search(given, part, fixed, variance, ridge)
        pitch = tf.gather(self.tuned_pitches(), notes.index)
        for taper in _TAPERS:
            notes = self._refine(notes, tf.stop_gradient(pitch), samples, part, tapered(fixed, taper), ridge)
        waves = read([self.table(partials)], self.cycles(notes.phase, pitch))[0]
        return Found(waves, pitch, tf.zeros_like(pitch), others)

    def cycles(self, phase: tf.Tensor, pitch: tf.Tensor, part: int | None = None) -> tf.Tensor:
        """Count the periods of notes (batch, note) at all samples or those of a part: (batch, note, time)."""
        time = self.time if part is None else self.time[part::2]
        return pitch[..., tf.newaxis] * tf.constant(time, self.tf_dtype) + phase[..., tf.newaxis]

    def table(self, partials: tf.Tensor, derivative: bool = False) -> tf.Tensor:
        """Sample the period, or its derivative, of partials (partial,): (point,)."""
        count = partials.shape[0]
        size = max(16, _POINTS_PER_PARTIAL * count)
        if derivative:
            partials = partials * tf.constant(2j * np.pi * np.arange(1, count + 1), partials.dtype)
        return tf.signal.irfft(tf.pad(partials, [[1, size // 2 - count]]) * (size / 2), [size])

    def search(
        self, given: tf.Tensor, part: int, partials: tf.Tensor, variance: tf.Tensor, ridge: tf.Tensor
    ) -> tuple[Notes, tf.Tensor]:
        """Find the likeliest pitches with their phases on a grid, and the log-likelihood ratio of all others."""
        weights, places, folded = self._reach()
        order = np.arange(1, self.num_searched + 1)
        num_phases = _PHASES_PER_PARTIAL * self.num_searched
        turns = np.exp(-2j * np.pi * np.outer(order, np.arange(num_phases) / num_phases))
        lowest = partials[: self.num_searched]
        near = tf.gather(tf.transpose(given, [1, 2, 0]), places.reshape(-1))
        near = tf.reshape(near, [*places.shape, 2, -1]) * tf.constant(
            weights[..., np.newaxis, np.newaxis], self.tf_dtype
        )
        found = tf.transpose(tf.reduce_sum(near, axis=2), [3, 0, 1, 2])
        # A partial above a quarter of the sample rate folds: its mirror image has the conjugate phase, a quarter off.
        mirrored = found[..., ::-1] if part else -found[..., ::-1]
        found = tf.where(folded[..., np.newaxis], mirrored, found)
        turned = tf.reshape(tf.complex(found[..., 0], found[..., 1]) * tf.math.conj(lowest), [-1, self.num_searched])
        match = tf.matmul(tf.math.real(turned), tf.constant(turns.real, self.tf_dtype))
        match -= tf.matmul(tf.math.imag(turned), tf.constant(turns.imag, self.tf_dtype))
        match = tf.reshape(match, [-1, len(self.pitches), num_phases])
        energy = tf.linalg.matvec(tf.constant((weights**2).sum(-1), self.tf_dtype), tf.abs(lowest) ** 2)
        energy *= self.mean_envelope
        amplitude, gain = _amplitude_and_gain(tf.reduce_max(match, -1), energy[tf.newaxis], variance, ridge)
        index = tf.math.top_k(self._peaks(gain), self.num_notes).indices
        phase = tf.cast(tf.gather(tf.argmax(match, -1), index, batch_dims=1), self.tf_dtype) / num_phases
        kept = tf.reduce_sum(tf.one_hot(index, len(self.pitches), dtype=gain.dtype), axis=1)
        kept = tf.nn.max_pool1d(kept[..., tf.newaxis], self.peak_width, 1, "SAME")[..., 0]
        others = tf.reduce_logsumexp(tf.where(kept > 0, tf.constant(-1e6, gain.dtype), gain), axis=-1, keepdims=True)
        return Notes(index, phase, tf.gather(amplitude, index, batch_dims=1)), others

    def _peaks(self, gain: tf.Tensor) -> tf.Tensor:
        """Return gains (batch, pitch), very small ones beside a larger one of the same peak."""
        if self.peak_width == 1:
            return gain
        largest = tf.nn.max_pool1d(gain[..., tf.newaxis], self.peak_width, 1, "SAME")[..., 0]
        return tf.where(gain < largest, tf.constant(-1e6, gain.dtype), gain)

    def _reach(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return how partials reach the two given bins next to them, where, and which fold.

        Weights and places are (pitch, partial, 2), folded is (pitch, partial).
        """
        samples = self.length // 2
        frequency = self.pitches[:, np.newaxis] * np.arange(1, self.num_searched + 1)
        folded = frequency > samples / 2
        seen = np.where(folded, samples - frequency, frequency)[..., np.newaxis]
        below = np.floor(seen)
        bins = np.concatenate([below, below + 1], axis=-1)
        inside = (frequency[..., np.newaxis] < samples) & (bins >= 1) & (bins < samples // 2)
        distance = seen - bins
        kernel = np.sinc(distance) / np.sinc(distance / samples) * math.sqrt(samples / 2)
        return np.where(inside, kernel, 0.0), np.where(inside, bins, 0).astype(np.int32), folded

    def _refine(
        self,
        notes: Notes,
        pitch: tf.Tensor,
        samples: tf.Tensor,
        part: int,
        partials: tf.Tensor,
        ridge: tf.Tensor,
    ) -> Notes:
        """Take one Gauss-Newton step in phase and amplitude."""
        tables = [self.table(partials), self.table(partials, derivative=True)]
        own, slope = read(tables, self.cycles(notes.phase, pitch, part))
        amplitude = notes.amplitude
        slope *= amplitude[..., tf.newaxis]
        rest = samples - amplitude[..., tf.newaxis] * own
        energy, mixed = tf.reduce_sum(own**2, -1) + ridge, tf.reduce_sum(own * slope, -1)
        # The damping keeps the step finite where the given bins say nothing of the phase.
        steepness = 1.0001 * tf.reduce_sum(slope**2, -1) + 1e-3
        of_amplitude = tf.reduce_sum(own * rest, -1) + ridge * (1.0 - amplitude)
        of_phase = tf.reduce_sum(slope * rest, -1)
        determinant = energy * steepness - mixed**2
        furthest = 1.0 / max(6.0, partials.shape[0] / 4.0)
        moved = tf.clip_by_value((energy * of_phase - mixed * of_amplitude) / determinant, -furthest, furthest)
        louder = amplitude + (steepness * of_amplitude - mixed * of_phase) / determinant
        return Notes(notes.index, notes.phase + moved, tf.clip_by_value(louder, 0.3, 3.0))


def tapered(partials: tf.Tensor, taper: float) -> tf.Tensor:
    """Fade partials out about number ``taper``; those beyond four times as many are dropped."""
    kept = partials[: int(4 * taper)]
    return kept * tf.constant(np.exp(-0.5 * (np.arange(1, kept.shape[0] + 1) / taper) ** 2), kept.dtype)


def read(tables: list[tf.Tensor], cycles: tf.Tensor) -> list[tf.Tensor]:
    """Interpolate periods (point,) linearly at phases in periods, of any shape."""
    size = tables[0].shape[0]
    place = (cycles - tf.floor(cycles)) * size
    below = tf.floor(place)
    columns = [column for table in tables for column in (table, tf.roll(table, -1, 0) - table)]
    read = tf.gather(tf.stack(columns, axis=-1), tf.cast(below, tf.int32) % size)
    return [read[..., 2 * i] + (place - below) * read[..., 2 * i + 1] for i in range(len(tables))]


def _amplitude_and_gain(
    correlation: tf.Tensor, energy: tf.Tensor, variance: tf.Tensor, ridge: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the likeliest amplitude under its prior, and the log-likelihood ratio of the note to silence."""
    amplitude = (correlation + ridge) / (energy + ridge)
    fit = amplitude * correlation - 0.5 * amplitude**2 * energy - 0.5 * ridge * (amplitude - 1.0) ** 2
    return amplitude, fit / variance
