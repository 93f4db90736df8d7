r"""Tuning of a grid's pitches: sounds that share a pitch determine it better together than each of them alone.

One sound leaves its pitch open within about one sample's share of a period over its length. Sounds
i that share a pitch f narrow it to what all allow,

.. math:: p(f \mid x_1, x_2, \dots) \propto \prod_i \sum_\varphi \mathcal{N}(x_i; \hat a_i u_{f,\varphi}, \sigma^2 I),

with amplitudes at their best and phases summed near the one found. The posterior mean over a few
pitches around the present one replaces it, at ever smaller distances. A square wave needs it: a
pitch off by 0.002 Hz puts a sample on the wrong side of an edge.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfsep.priors.wavetable.prior import WavetablePrior

_WIDTHS = (0.03, 0.008, 0.002)
_PITCHES, _PHASES = 13, 17
_BATCH = 8


def tune(prior: WavetablePrior, waves: np.ndarray, notes: np.ndarray, sigma: float) -> None:
    """Move the pitches of a wavetable prior's grid to their posterior means given all sounds.

    Args:
        prior: its ``frequency`` is replaced; its period must be known.
        waves: isolated sounds (num, time).
        notes: (num, 3), their likeliest notes under the prior: each lies on one of its pitches.
        sigma: noise level of the likelihood, in units of amplitude.
    """
    frequency = prior.frequency.numpy().astype(np.float64)
    nearest = np.abs(notes[:, :1] - frequency).argmin(-1)
    phases = np.linspace(-1.0, 1.0, _PHASES) / waves.shape[1]
    for width in _WIDTHS:
        offsets = np.linspace(-width, width, _PITCHES)
        nearby = np.stack(np.meshgrid(offsets, phases, [0.0], indexing="ij"), -1).reshape(-1, 3)
        likelihood = np.zeros((len(frequency), _PITCHES))
        for start in range(0, len(waves), _BATCH):
            part = slice(start, start + _BATCH)
            tried = np.concatenate([frequency[nearest[part], np.newaxis], notes[part, 1:]], -1)[:, np.newaxis] + nearby
            found = _log_likelihood(prior, tf.constant(waves[part], prior.tf_dtype), tf.constant(tried), sigma)
            np.add.at(likelihood, nearest[part], found.numpy())
        weight = np.exp(likelihood - likelihood.max(-1, keepdims=True))
        frequency += weight @ offsets / weight.sum(-1)
    prior.frequency.assign(frequency)


@tf.function(autograph=False, reduce_retracing=True)
def _log_likelihood(prior: WavetablePrior, waves: tf.Tensor, notes: tf.Tensor, sigma: float) -> tf.Tensor:
    """Compute log-likelihoods up to a constant: (sound, time), notes (sound, pitch * phase, 3) -> (sound, pitch)."""
    played = prior.grid.render(tf.convert_to_tensor(prior.table), tf.cast(notes, waves.dtype))
    level = tf.linalg.matvec(played, waves) / tf.maximum(tf.reduce_sum(played**2, -1), 1e-12)
    rest = tf.reduce_sum((waves[:, tf.newaxis] - level[..., tf.newaxis] * played) ** 2, -1)
    by_phase = tf.reshape(tf.cast(rest, tf.float64), [-1, _PITCHES, _PHASES])
    return tf.reduce_logsumexp(-0.5 * by_phase / sigma**2, -1)
