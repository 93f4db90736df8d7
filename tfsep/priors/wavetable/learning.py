r"""How a wavetable is learned: isolated sounds are explained by the period so far, then the period is averaged again.

Rounds of (1) the likeliest note of every sound under the present period, a sine at first, with
every pitch of the range and every decay open, and (2) the period that explains all sounds best at
these notes, the least-squares average over phase,
:math:`w(\varphi) = \sum a_i e_i x_i / \sum a_i^2 e_i^2` over all samples at that phase (e the
decay). It is expectation maximisation with the expectation replaced by its largest term,
from high noise to low (hard, annealed EM; Neal and Hinton 1998). The first rounds look at a few
sounds, each at twice as many as the one before, the last at all. Then pitches are grouped where
they are separate and tuned (tuning.py) in rounds with a finer period, and weights, amplitudes and
residual are counted.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfsep.errors import JobError
from tfsep.priors.wavetable.prior import WavetablePrior
from tfsep.priors.wavetable.tuning import tune

SIGMAS = (0.5, 0.2, 0.1, 0.05, 0.02)
_CELLS = 4096
_SAME_PITCH = 2e-3
_SMALLEST_RESIDUAL = 1e-3
_BATCH = 32
_FIRST = 64
_COARSE = 2048
_ROUNDS = 2


def learn(prior: WavetablePrior, waves: npt.ArrayLike, sigmas: tuple[float, ...] = SIGMAS) -> dict[str, float]:
    """Set all weights of a wavetable prior from isolated sounds.

    Args:
        prior: the prior; its weights are replaced.
        waves: isolated sounds (num, time), each one note that begins with the excerpt or before it.
        sigmas: noise levels of the rounds, in units of amplitude, from high to low.

    Returns:
        ``residual``, the standard deviation that the notes leave unexplained, and of a grid
        ``pitches``, how many were found.

    Raises:
        JobError: where a grid was asked for and the sounds lie on more pitches than
            ``num_pitches``.
    """
    waves = np.asarray(waves, np.float32)
    explorer = _explorer(prior)
    explain = _explainer(explorer)
    notes, table = np.zeros((0, 3)), explorer.table.numpy()
    for index, sigma in enumerate(sigmas):
        part = waves if index + 1 == len(sigmas) else waves[: _FIRST * 2**index]
        notes = explain(part, sigma)
        table = average_period(explorer, part, notes)
        explorer.table.assign(table)
    prior.table.assign(_resized(table, prior.table.shape[0]))
    found = _group(notes[:, 0]) if prior.pitches == "grid" else None
    if found is not None:
        _set_grid(prior, found)
        explain = _explainer(prior)
        for round_number in range(_ROUNDS + 1):
            if round_number:
                tune(prior, waves, notes, sigmas[-1])
            notes = explain(waves, sigmas[-1])
            prior.table.assign(average_period(prior, waves, notes))
        found = _group(notes[:, 0])
        _set_grid(prior, found)
    else:
        prior.pitch_weight.assign(_smooth_weights(prior, notes[:, 0]))
    if prior.grid.decay_width:
        cell = np.abs(notes[:, 2:] - prior.log_rate.numpy()).argmin(-1)
        count = np.bincount(cell, minlength=len(prior.log_rate)) + 1.0
        prior.decay_weight.assign(count / count.sum())
    amplitude, rest = _fit(prior, waves, notes)
    prior.amplitude.assign([amplitude.mean(), max(amplitude.std(), 1e-3)])
    residual = max(float(np.sqrt(np.median(np.mean(rest**2, -1)))), _SMALLEST_RESIDUAL)
    prior.residual.assign(residual)
    return {"residual": residual} if found is None else {"residual": residual, "pitches": float(len(found[0]))}


def _explorer(prior: WavetablePrior) -> WavetablePrior:
    """Build a prior with every pitch of the range open and nothing known of amplitudes."""
    return WavetablePrior(
        prior.front_end,
        prior.event_shape,
        sample_rate=prior.sample_rate,
        pitches="continuous",
        pitch_range=prior.pitch_range,
        num_pitches=_CELLS,
        decay_range=prior.decay_range,
        num_decays=len(prior.log_rate),
        table_size=min(prior.table.shape[0], _COARSE),
        num_phases=32,
        num_refined=prior.grid.num_refined,
        num_rounds=5,
    )


def _resized(table: np.ndarray, size: int) -> np.ndarray:
    """Interpolate a period at another number of points."""
    return np.interp(np.arange(size) * len(table) / size, np.arange(len(table)), table, period=len(table))


def _explainer(prior: WavetablePrior) -> Callable[[np.ndarray, float], np.ndarray]:
    """Return a function: sounds (num, time), noise level -> likeliest notes (num, 3) under the prior's weights."""
    graph = tf.function(prior.explain, autograph=False, reduce_retracing=True)

    def explain(waves: np.ndarray, sigma: float) -> np.ndarray:
        level = tf.constant(sigma, prior.tf_dtype)
        parts = [waves[start : start + _BATCH, :, np.newaxis] for start in range(0, len(waves), _BATCH)]
        return np.concatenate([graph(tf.constant(part), level).numpy() for part in parts]).astype(np.float64)

    return explain


def _fit(prior: WavetablePrior, waves: np.ndarray, notes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return least-squares amplitudes (num,) of the notes and the rest of the sounds (num, time)."""
    played = prior.grid.render(tf.cast(prior.table, tf.float64), tf.constant(notes)).numpy()
    amplitude = np.sum(played * waves, -1) / np.maximum(np.sum(played**2, -1), 1e-12)
    return amplitude, waves - amplitude[:, np.newaxis] * played


def average_period(prior: WavetablePrior, waves: np.ndarray, notes: np.ndarray) -> np.ndarray:
    """Return the period (point,) that explains the sounds (num, time) best at their notes (num, 3), of peak 1."""
    size, grid = prior.table.shape[0], prior.grid
    seconds = (np.arange(grid.length) - grid.length // 2) / grid.sample_rate
    nearest_point = np.rint((notes[:, :1] * seconds + notes[:, 1:2]) % 1.0 * size).astype(np.int64) % size
    envelope = grid.envelopes(tf.constant(notes[:, 2])).numpy() if grid.decay_width else np.ones_like(waves)
    level = _fit(prior, waves, notes)[0][:, np.newaxis] * envelope
    above = np.bincount(nearest_point.ravel(), (level * waves).ravel(), size)
    below = np.bincount(nearest_point.ravel(), (level**2).ravel(), size)
    known = np.flatnonzero(below > 1e-6 * below.max())
    table = np.interp(np.arange(size), known, above[known] / below[known], period=size)
    return table / np.abs(table).max()


def _group(frequency: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return separate pitches in Hz and their weights; sounds within 0.2 % of the next share a pitch, their median."""
    order = np.sort(frequency)
    edges = np.flatnonzero(np.diff(np.log(order)) > _SAME_PITCH) + 1
    groups = np.split(order, edges)
    return np.array([np.median(group) for group in groups]), np.array([len(group) for group in groups]) / len(order)


def _set_grid(prior: WavetablePrior, found: tuple[np.ndarray, np.ndarray]) -> None:
    pitch, weight = found
    size = prior.frequency.shape[0]
    if len(pitch) > size:
        raise JobError(f"a wavetable's sounds must lie on at most {size} pitches (num_pitches), got {len(pitch)}")
    prior.frequency.assign(np.pad(pitch, (0, size - len(pitch)), mode="edge"))
    prior.pitch_weight.assign(np.pad(weight, (0, size - len(pitch))))


def _smooth_weights(prior: WavetablePrior, frequency: np.ndarray) -> np.ndarray:
    """Return weights of a continuum's cells: a histogram over 24 bands of log pitch, one count added to each."""
    low, high = prior.pitch_range
    edges = np.geomspace(low, high, 25)
    count = np.histogram(frequency, edges)[0] + 1.0
    middle = prior.frequency.numpy()
    band = np.clip(np.searchsorted(edges, middle) - 1, 0, 23)
    weight = (count / np.diff(edges))[band]
    return weight / weight.sum()
