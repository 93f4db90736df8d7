r"""The density of one event under a wavetable, and the mean and draws of its note, from cells divided in rounds.

Every cell c stands for its middle, a wave :math:`u_c` of prior weight :math:`\pi_c`. With
:math:`w_c \propto \pi_c\, p(y|u_c)` over those cells that are not divided further (the leaves),

.. math:: \log p(y) = \log \sum_c \pi_c\, p(y|u_c), \qquad E[a\,u|y] = \sum_c w_c\, E[a|y,u_c]\, u_c.

Leaves of the first grid are not rendered: the sum over their waves is the adjoint of their inner
products. With fixed cells p integrates to one exactly; that y chooses which of them are divided is
felt where the others are too wide for the noise.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import tensorflow as tf

from tfsep.priors.wavetable.amplitude import log_evidence, log_likelihood
from tfsep.priors.wavetable.grid import Box


class Voice(NamedTuple):
    """What is known of a source before it is heard.

    Attributes:
        table: (point,) its period.
        amplitude: (2,) mean and deviation.
        frequency: (pitch,) Hz.
        log_rate: (decay,) log decay rates in 1/s.
        log_weight: (decay, pitch, 1) log prior weights of the cells.
        envelopes: (decay, time).
        harmonics: (num_phases / 2,) of the period.
        bins: (pitch, num_phases / 2), where they lie in a spectrum.
        energy: (decay, pitch, phase) of the cells' waves.
    """

    table: tf.Tensor
    amplitude: tf.Tensor
    frequency: tf.Tensor
    log_rate: tf.Tensor
    log_weight: tf.Tensor
    envelopes: tf.Tensor
    harmonics: tf.Tensor
    bins: tf.Tensor
    energy: tf.Tensor


class Answer(NamedTuple):
    """Of one event: log-density, E[a u | y] (time,), the likeliest note (3,) and one drawn from the posterior (3,)."""

    log_prob: tf.Tensor
    clean: tf.Tensor
    likeliest: tf.Tensor
    drawn: tf.Tensor


class Leaves(NamedTuple):
    """Cells: log joint densities of the first grid's and of each round's, and the rounds' E[a|y,u], notes and waves."""

    joint: list[tf.Tensor]
    level: list[tf.Tensor]
    notes: list[tf.Tensor]
    waves: list[tf.Tensor]


def voice_of(
    box: Box,
    table: tf.Tensor,
    amplitude: tf.Tensor,
    frequency: tf.Tensor,
    log_rate: tf.Tensor,
    weight: tf.Tensor,
) -> Voice:
    """Prepare what all events share; ``weight`` is (decay, pitch), the rest as in :class:`Voice`."""
    envelopes = box.envelopes(log_rate) if box.decay_width else tf.ones([1, box.length], table.dtype)
    harmonics, bins, fine = box.harmonics(table), box.bins(frequency), 4 * box.num_phases
    period = fine * tf.signal.irfft(harmonics, [fine])
    squared = tf.signal.rfft(period**2)[: box.num_phases // 2] / fine
    energy = tf.maximum(box.inner_products(envelopes**2, squared, bins), 1e-6)
    log_weight = tf.math.log(weight / box.num_phases)[..., tf.newaxis]
    return Voice(table, amplitude, frequency, log_rate, log_weight, envelopes, harmonics, bins, energy)


def _notes(box: Box, voice: Voice, cell: tf.Tensor) -> tf.Tensor:
    """The middles of cells of the first grid, by their place in it: (...,) -> (..., 3)."""
    row, phase = cell // box.num_phases, cell % box.num_phases
    pitches = voice.frequency.shape[0]
    place = tf.cast(phase, voice.table.dtype) / box.num_phases
    return tf.stack([tf.gather(voice.frequency, row % pitches), place, tf.gather(voice.log_rate, row // pitches)], -1)


def _likeliest(joint: tf.Tensor, count: int) -> tf.Tensor:
    """Places of the ``count`` largest of (decay, pitch, phase), by way of the rows that hold them."""
    rows = tf.reshape(joint, [-1, joint.shape[-1]])
    row = tf.math.top_k(tf.reduce_max(rows, -1), min(count, rows.shape[0]))[1]
    place = tf.math.top_k(tf.reshape(tf.gather(rows, row), [-1]), count)[1]
    return tf.gather(row, place // rows.shape[1]) * rows.shape[1] + place % rows.shape[1]


def _divide(box: Box, knots: tf.Tensor, notes: tf.Tensor, number: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Parts of cells (cell, 3) of round ``number``: their notes (cell * part, 3) and waves (cell * part, time)."""
    offsets = box.offsets(number, notes.dtype)
    parts = notes[:, tf.newaxis] + offsets
    decays = box.parts[2]
    # The decay runs fastest: parts that differ in nothing else share what is played, and parts of a cell few envelopes.
    wave = box.play(knots, parts[:, ::decays, 0], parts[:, ::decays, 1])
    if box.decay_width:
        wave = wave[:, :, tf.newaxis] * box.envelopes(parts[:, :decays, 2])[:, tf.newaxis]
    return tf.reshape(parts, [-1, 3]), tf.reshape(wave, [-1, box.length])


def _refine(box: Box, voice: Voice, y: tf.Tensor, variance: tf.Tensor, joint: tf.Tensor) -> Leaves:
    """Divide the likeliest cells of the first grid, of log joint densities (decay, pitch, phase), in rounds."""
    chosen = _likeliest(joint, box.num_refined)
    log_weight = tf.gather(tf.reshape(tf.repeat(voice.log_weight, box.num_phases, axis=-1), [-1]), chosen)
    notes, knots = _notes(box, voice, chosen), box.knots(voice.table)
    gone = tf.fill([box.num_refined], tf.cast(-math.inf, y.dtype))
    leaves = Leaves([tf.reshape(joint, [-1])], [], [], [])
    parts = math.prod(box.parts)
    for number in range(box.num_rounds):
        leaves.joint[-1] = tf.tensor_scatter_nd_update(leaves.joint[-1], chosen[:, tf.newaxis], gone)
        parted, waves = _divide(box, knots, notes, number)
        log_weight = tf.repeat(log_weight - math.log(parts), parts)
        likelihood, level = log_likelihood(y, waves, variance, voice.amplitude)
        leaves.joint.append(log_weight + likelihood)
        leaves.level.append(level)
        leaves.notes.append(parted)
        leaves.waves.append(waves)
        chosen = tf.math.top_k(leaves.joint[-1], box.num_refined)[1]
        notes, log_weight = tf.gather(parted, chosen), tf.gather(log_weight, chosen)
    return leaves


def integrate(box: Box, voice: Voice, y: tf.Tensor, variance: tf.Tensor, uniform: tf.Tensor | None = None) -> Answer:
    """Sum over notes for one event (time,).

    Args:
        box: the cells.
        voice: the source.
        y: the event.
        variance: of all that is not the note.
        uniform: a number in 0..1 that draws a note; None draws the likeliest.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(y)
        inner = box.inner_products(y * voice.envelopes, voice.harmonics, voice.bins)
    evidence, level = log_evidence(inner, voice.energy, variance, voice.amplitude)
    joint = evidence + (voice.log_weight - 0.5 * tf.reduce_sum(y**2) / variance)
    leaves = _refine(box, voice, y, variance, joint)
    peak = tf.stop_gradient(tf.reduce_max(tf.stack([tf.reduce_max(each) for each in leaves.joint])))
    shares = [tf.exp(each - peak) for each in leaves.joint]
    total = tf.add_n([tf.reduce_sum(share) for share in shares])
    first = tf.reshape(shares[0] / total, joint.shape) * level
    clean = tape.gradient(inner, y, output_gradients=first)
    for share, level, waves in zip(shares[1:], leaves.level, leaves.waves, strict=True):
        clean += tf.linalg.matvec(waves, share / total * level, transpose_a=True)
    likeliest = tf.gather(leaves.notes[-1], tf.argmax(leaves.joint[-1]))
    drawn = likeliest
    if uniform is not None:
        index = categorical(tf.concat(shares, 0), uniform[tf.newaxis])[0]
        late = index - shares[0].shape[0]
        coarse = _notes(box, voice, tf.minimum(index, shares[0].shape[0] - 1))
        drawn = tf.where(late < 0, coarse, tf.gather(tf.concat(leaves.notes, 0), tf.maximum(late, 0)))
    log_prob = peak + tf.math.log(total) - 0.5 * box.length * tf.math.log(math.tau * variance)
    return Answer(log_prob, clean, likeliest, drawn)


def categorical(weight: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
    """Indices drawn with weights (num,), zero or more, from uniform numbers (draw,) in 0..1: (draw,)."""
    place = tf.searchsorted(tf.cumsum(weight), uniform * tf.reduce_sum(weight), side="right")
    return tf.minimum(place, weight.shape[0] - 1)
