r"""The density of one event under a wavetable, and the mean and draws of its note, from cells divided in rounds.

Every cell c is represented by its middle, a wave :math:`u_c` of prior weight :math:`\pi_c`. With
:math:`w_c \propto \pi_c\, p(y|u_c)` over those cells that are not divided further (the leaf cells),

.. math:: \log p(y) = \log \sum_c \pi_c\, p(y|u_c), \qquad E[a\,u|y] = \sum_c w_c\, E[a|y,u_c]\, u_c.

Leaf cells of the first grid are not rendered: the sum over their waves is the adjoint of their
inner products. With fixed cells p integrates to one exactly; that y chooses which of them are
divided is felt where the others are too wide for the noise.

Beside other sounds, any combination of waves :math:`b_1 \ldots b_R` of unknown weights with a flat
prior, these weights integrate out. With P the projection on what is orthogonal to all b,

.. math:: p(y|u_c) \propto \int p(a)\, \mathcal{N}(Py;\ a\,P u_c,\ v\,P)\, da,

the density above with Py for y and :math:`P u_c` for :math:`u_c`; the mean is still of :math:`u_c`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfsep.priors.positive_amplitude import log_evidence, log_likelihood
from tfsep.priors.wavetable.parameter_grid import ParameterGrid

_SILENT = 1e-6


class Voice(NamedTuple):
    """The parameters of a source, and what follows from them for all events.

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
        interpolation: (point + 1,) the period's table for interpolation.
        shifted: for each round its shifted table or None (:meth:`ParameterGrid.shifted_tables`).
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
    interpolation: tf.Tensor
    shifted: tuple[tf.Tensor | None, ...]


class EventInference(NamedTuple):
    """The posterior of one event over its note.

    Attributes:
        log_prob: log-density in nats, ().
        clean: E[a u | y], (time,).
        likeliest: the likeliest note, (3,).
        drawn: a note drawn from the posterior, (3,).
    """

    log_prob: tf.Tensor
    clean: tf.Tensor
    likeliest: tf.Tensor
    drawn: tf.Tensor


class LeafCells(NamedTuple):
    """Log joint densities of the first grid's cells and of each round's, and the rounds' E[a|y,u], notes and waves."""

    joint: list[tf.Tensor]
    level: list[tf.Tensor]
    notes: list[tf.Tensor]
    waves: list[tf.Tensor]


def voice_of(
    grid: ParameterGrid,
    table: tf.Tensor,
    amplitude: tf.Tensor,
    frequency: tf.Tensor,
    log_rate: tf.Tensor,
    weight: tf.Tensor,
) -> Voice:
    """Prepare what all events share; ``weight`` is (decay, pitch), the rest as in :class:`Voice`."""
    envelopes = grid.envelopes(log_rate) if grid.decay_width else tf.ones([1, grid.length], table.dtype)
    harmonics, bins, fine = grid.harmonics(table), grid.bins(frequency), 4 * grid.num_phases
    period = fine * tf.signal.irfft(harmonics, [fine])
    squared = tf.signal.rfft(period**2)[: grid.num_phases // 2] / fine
    energy = tf.maximum(grid.inner_products(envelopes**2, squared, bins), 1e-6)
    log_weight = tf.math.log(weight / grid.num_phases)[..., tf.newaxis]
    played = grid.interpolation_table(table), grid.shifted_tables(table)
    return Voice(table, amplitude, frequency, log_rate, log_weight, envelopes, harmonics, bins, energy, *played)


def _notes(grid: ParameterGrid, voice: Voice, cell: tf.Tensor) -> tf.Tensor:
    """Return the notes in the middle of cells of the first grid, by their index in it: (...,) -> (..., 3)."""
    row, phase = cell // grid.num_phases, cell % grid.num_phases
    pitches = voice.frequency.shape[0]
    middle = tf.cast(phase, voice.table.dtype) / grid.num_phases
    return tf.stack([tf.gather(voice.frequency, row % pitches), middle, tf.gather(voice.log_rate, row // pitches)], -1)


def _likeliest(joint: tf.Tensor, count: int) -> tf.Tensor:
    """Return the indices of the ``count`` largest of (decay, pitch, phase), found among the rows with the largest."""
    rows = tf.reshape(joint, [-1, joint.shape[-1]])
    row = tf.math.top_k(tf.reduce_max(rows, -1), min(count, rows.shape[0]))[1]
    index = tf.math.top_k(tf.reshape(tf.gather(rows, row), [-1]), count)[1]
    return tf.gather(row, index // rows.shape[1]) * rows.shape[1] + index % rows.shape[1]


def _divide(grid: ParameterGrid, voice: Voice, notes: tf.Tensor, number: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Divide cells (cell, 3) of round ``number``; return notes (cell * part, 3) and waves (cell * part, time)."""
    parts = notes[:, tf.newaxis] + tf.constant(grid.offsets(number), notes.dtype)
    if (shifted := voice.shifted[number]) is not None:
        wave = grid.play_parts(shifted, notes[:, 0], notes[:, 1])
        return tf.reshape(parts, [-1, 3]), tf.reshape(wave, [-1, grid.length])
    decays = grid.parts[2]
    # The decay runs fastest: parts that differ in nothing else share what is played, and parts of a cell few envelopes.
    wave = grid.play(voice.interpolation, parts[:, ::decays, 0], parts[:, ::decays, 1])
    if grid.decay_width:
        wave = wave[:, :, tf.newaxis] * grid.envelopes(parts[:, :decays, 2])[:, tf.newaxis]
    return tf.reshape(parts, [-1, 3]), tf.reshape(wave, [-1, grid.length])


def _orthonormal(waves: tf.Tensor) -> tf.Tensor:
    """Return orthonormal waves that span the given ones, (direction, time); one that adds nothing stays near zero."""
    scale = tf.math.rsqrt(tf.maximum(tf.reduce_sum(waves**2, -1, keepdims=True), _SILENT))
    waves = waves * scale
    gram = tf.matmul(waves, waves, transpose_b=True) + _SILENT * tf.eye(waves.shape[0], dtype=waves.dtype)
    return tf.linalg.triangular_solve(tf.linalg.cholesky(gram), waves)


def _orthogonal(waves: tf.Tensor, beside: tf.Tensor | None) -> tf.Tensor:
    """Remove the part of waves (..., time) that orthonormal ones span, (direction, time); None spans nothing."""
    if beside is None:
        return waves
    return waves - tf.tensordot(tf.tensordot(waves, beside, [[-1], [-1]]), beside, 1)


def _refine(
    grid: ParameterGrid, voice: Voice, y: tf.Tensor, variance: tf.Tensor, joint: tf.Tensor, beside: tf.Tensor | None
) -> LeafCells:
    """Divide the likeliest cells of the first grid, of log joint densities (decay, pitch, phase), in rounds."""
    chosen = _likeliest(joint, grid.num_refined)
    log_weight = tf.gather(tf.reshape(tf.repeat(voice.log_weight, grid.num_phases, axis=-1), [-1]), chosen)
    notes = _notes(grid, voice, chosen)
    divided = tf.fill([grid.num_refined], tf.cast(-math.inf, y.dtype))
    cells = LeafCells([tf.reshape(joint, [-1])], [], [], [])
    parts = math.prod(grid.parts)
    for number in range(grid.num_rounds):
        cells.joint[-1] = tf.tensor_scatter_nd_update(cells.joint[-1], chosen[:, tf.newaxis], divided)
        parted, waves = _divide(grid, voice, notes, number)
        log_weight = tf.repeat(log_weight - math.log(parts), parts)
        likelihood, level = log_likelihood(y, _orthogonal(waves, beside), variance, voice.amplitude)
        cells.joint.append(log_weight + likelihood)
        cells.level.append(level)
        cells.notes.append(parted)
        cells.waves.append(waves)
        chosen = tf.math.top_k(cells.joint[-1], grid.num_refined)[1]
        notes, log_weight = tf.gather(parted, chosen), tf.gather(log_weight, chosen)
    return cells


def integrate(
    grid: ParameterGrid,
    voice: Voice,
    y: tf.Tensor,
    variance: tf.Tensor,
    uniform: tf.Tensor | None = None,
    beside: tf.Tensor | None = None,
) -> EventInference:
    """Sum over notes for one event (time,).

    Args:
        grid: the cells.
        voice: the source.
        y: the event.
        variance: of all that is not the note.
        uniform: a number in 0..1 that draws a note; None draws the likeliest.
        beside: waves (direction, time), any combination of which the event may hold besides; the
            log-density is then that of the part of y which they do not span. None is no such waves.
    """
    energy, dimensions = voice.energy, grid.length
    if beside is not None:
        beside, dimensions = _orthonormal(beside), dimensions - beside.shape[0]
        y = _orthogonal(y, beside)
        for wave in tf.unstack(beside):
            energy -= grid.inner_products(wave * voice.envelopes, voice.harmonics, voice.bins) ** 2
        energy = tf.maximum(energy, 1e-6)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(y)
        inner = grid.inner_products(y * voice.envelopes, voice.harmonics, voice.bins)
    evidence, level = log_evidence(inner, energy, variance, voice.amplitude)
    joint = evidence + (voice.log_weight - 0.5 * tf.reduce_sum(y**2) / variance)
    cells = _refine(grid, voice, y, variance, joint, beside)
    peak = tf.stop_gradient(tf.reduce_max(tf.stack([tf.reduce_max(each) for each in cells.joint])))
    shares = [tf.exp(each - peak) for each in cells.joint]
    total = tf.add_n([tf.reduce_sum(share) for share in shares])
    left = tf.reduce_sum(shares[0]) / total
    first = tf.reshape(shares[0] / total, joint.shape) * level
    # At low noise nothing is left in cells that were not divided.
    clean = tf.cond(
        left > np.finfo(y.dtype.as_numpy_dtype).eps,
        lambda: tape.gradient(inner, y, output_gradients=first),
        lambda: tf.zeros_like(y),
    )
    for share, level, waves in zip(shares[1:], cells.level, cells.waves, strict=True):
        clean += tf.linalg.matvec(waves, share / total * level, transpose_a=True)
    likeliest = tf.gather(cells.notes[-1], tf.argmax(cells.joint[-1]))
    drawn = likeliest
    if uniform is not None:
        index = categorical(tf.concat(shares, 0), uniform[tf.newaxis])[0]
        late = index - shares[0].shape[0]
        coarse = _notes(grid, voice, tf.minimum(index, shares[0].shape[0] - 1))
        drawn = tf.where(late < 0, coarse, tf.gather(tf.concat(cells.notes, 0), tf.maximum(late, 0)))
    log_prob = peak + tf.math.log(total) - 0.5 * dimensions * tf.math.log(math.tau * variance)
    return EventInference(log_prob, clean, likeliest, drawn)


def categorical(weight: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
    """Draw indices with weights (num,), zero or more, by uniform numbers (draw,) in 0..1: (draw,)."""
    index = tf.searchsorted(tf.cumsum(weight), uniform * tf.reduce_sum(weight), side="right")
    return tf.minimum(index, weight.shape[0] - 1)
