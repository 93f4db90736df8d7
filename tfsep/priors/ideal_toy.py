r"""The ideal prior of the grid toy data: its own generator's noised density, score and denoiser in closed form.

An example is :math:`a\,w_{k\phi}` with one of 88 keys k, a phase :math:`\phi` uniform over the
period and an amplitude a uniform in :math:`[a_0, a_1]` (data/toy.py). With noise, and for one
waveform w with :math:`n = \|w\|^2`, :math:`\hat a = w^T y / n` and :math:`\tau = \sigma / \sqrt n`,
the amplitude integrates exactly:

.. math:: \log p(y|w) = -\tfrac{D}{2}\log 2\pi\sigma^2 - \frac{\|y\|^2 - n \hat a^2}{2\sigma^2}
          + \log \frac{\sqrt{2\pi}\,\tau\,[\Phi(\beta) - \Phi(\alpha)]}{a_1 - a_0},
          \qquad \alpha, \beta = \frac{a_0 - \hat a}{\tau}, \frac{a_1 - \hat a}{\tau},

and :math:`E[a|y,w]` is the mean of a normal truncated to :math:`[a_0, a_1]`. Keys are summed; the
phase is integrated by the midpoint rule on ``num_phases`` cells per key. At low noise nearly all of
the mass lies in one cell, so the ``num_refined`` likeliest cells are divided into ``num_subcells``,
the likeliest of those again, ``num_rounds`` times: by default a grid of 1/16,384 of a period where
it matters. (The edges of a naive square wave cross one of D samples about 2 D times per period of
phase, which is how fine the grid must be for the density; the mean of a square wave under noise of
0.1 and less takes a third round.) The denoiser is the posterior mean of :math:`a\,w`, and the score
is :math:`(D(y, \sigma) - y) / \sigma^2`.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from tfsep.audio.front_end import FrontEnd
from tfsep.axes import Seed, Sigma, TensorLike
from tfsep.data import toy
from tfsep.priors.base import per_example_sigma
from tfsep.priors.closed_form import ClosedForm
from tfsep.priors.truncated_normal import draw_truncated_normal, truncated_normal
from tfsep.runtime.stateless_random import split, uniform


class IdealToyPrior(ClosedForm):
    """Closed-form prior of one toy class; see the module's text.

    Args:
        front_end: must be of the domain "wave".
        event_shape: (time, 1).
        source: the toy class.
        sample_rate: Hz.
        num_phases: phase cells per key.
        num_refined: cells divided in each round, per example.
        num_subcells: parts of a divided cell.
        num_rounds: how often cells are divided.
        band_limited: as in the data.
        smallest_sigma: what ``sigma=None`` means.
        dtype: "float32" or "float64".

    Raises:
        ValueError: for events that are not waves, or a setting out of its range.
    """

    kind = "ideal_toy"
    has_posterior_sample = True

    def __init__(
        self,
        front_end: FrontEnd,
        event_shape: tuple[int, ...],
        source: str = "sine",
        sample_rate: int = 16000,
        num_phases: int = 64,
        num_refined: int = 4,
        num_subcells: int = 16,
        num_rounds: int = 2,
        band_limited: bool = False,
        smallest_sigma: float = 0.01,
        dtype: str = "float32",
    ) -> None:
        """Render the waveforms of all cells."""
        self._over_waves(front_end, event_shape, smallest_sigma, dtype)
        counts = {"num_phases": num_phases, "num_refined": num_refined, "num_subcells": num_subcells}
        for name, value in counts.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if num_rounds < 0:
            raise ValueError(f"num_rounds must be at least 0, got {num_rounds}")
        self.source, self.sample_rate, self.band_limited = source, sample_rate, band_limited
        self.data = toy.ToyData(sample_rate=sample_rate, band_limited=band_limited, sources=(source,))
        self.num_phases, self.num_rounds = num_phases, num_rounds
        self.num_refined, self.num_subcells = num_refined, num_subcells
        frequency = np.repeat(toy.key_frequencies(), num_phases)
        phase = np.tile((np.arange(num_phases) + 0.5) / num_phases, toy.NUM_KEYS)
        self._frequency, self._phase = tf.constant(frequency), tf.constant(phase)
        self._waves = self._render(self._frequency, self._phase)
        self._energy = tf.reduce_sum(self._waves**2, -1)

    def _render(self, frequency: tf.Tensor, phase: tf.Tensor) -> tf.Tensor:
        ones = tf.ones_like(frequency)
        length = self.event_shape[0]
        wave = toy.render(self.source, frequency, phase, ones, length, self.sample_rate, self.band_limited)
        return tf.cast(wave, self.tf_dtype)

    def _cells(self, inner: tf.Tensor, energy: tf.Tensor, power: tf.Tensor, sigma: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Return log p(y|w) and E[a|y,w] of each waveform, (batch, cell) each, from w^T y and the energies."""
        low, high = toy.AMPLITUDES
        amplitude, std = inner / energy, sigma / tf.sqrt(energy)
        log_mass, mean = truncated_normal(amplitude, std, low, high)
        rest = tf.maximum(power - energy * amplitude**2, 0.0)
        log_normal = -0.5 * self.dimensions * tf.math.log(math.tau * sigma**2)
        log_amplitude = log_mass + tf.math.log(std) + 0.5 * math.log(math.tau) - math.log(high - low)
        return log_normal - 0.5 * rest / sigma**2 + log_amplitude, mean

    def _divide(self, frequency: tf.Tensor, phase: tf.Tensor, width: float) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Divide cells (batch, refined) of ``width`` periods; return frequencies, phases, waveforms (batch, part)."""
        offset = ((tf.range(self.num_subcells, dtype=tf.float64) + 0.5) / self.num_subcells - 0.5) * width
        parts = self.num_refined * self.num_subcells
        phase = tf.reshape(phase[..., tf.newaxis] + offset, [-1, parts])
        frequency = tf.repeat(frequency, self.num_subcells, axis=-1)
        waves = self._render(tf.reshape(frequency, [-1]), tf.reshape(phase, [-1]))
        return frequency, phase, tf.reshape(waves, [-1, parts, self.event_shape[0]])

    def _leaf_cells(self, y: tf.Tensor, sigma: tf.Tensor) -> tuple[list[tuple[tf.Tensor, ...]], list[tf.Tensor]]:
        """Return the leaf cells, which are not divided further, and the waves of those that came from a division.

        There is one entry for each round, of log p(y|w), E[a|y,w], frequencies and phases, (batch,
        cell) each.
        """
        column, power = sigma[:, tf.newaxis], tf.reduce_sum(y**2, -1, keepdims=True)
        log_weight, mean = self._cells(tf.matmul(y, self._waves, transpose_b=True), self._energy, power, column)
        frequency = tf.broadcast_to(self._frequency, tf.shape(log_weight))
        phase = tf.broadcast_to(self._phase, tf.shape(log_weight))
        width = 1.0 / self.num_phases
        cells: list[tuple[tf.Tensor, ...]] = [(log_weight, mean, frequency, phase)]
        rounds: list[tf.Tensor] = []
        for _ in range(self.num_rounds):
            log_weight, *rest = cells.pop()
            best = tf.math.top_k(log_weight, self.num_refined)[1]
            divided = tf.reduce_any(tf.range(log_weight.shape[1]) == best[..., tf.newaxis], axis=1)
            cells.append((tf.where(divided, tf.cast(-math.inf, log_weight.dtype), log_weight), *rest))
            frequency, phase = (tf.gather(value, best, batch_dims=1) for value in rest[1:])
            frequency, phase, waves = self._divide(frequency, phase, width)
            width /= self.num_subcells
            energy = tf.reduce_sum(waves**2, -1)
            log_weight, mean = self._cells(tf.einsum("bct,bt->bc", waves, y), energy, power, column)
            cells.append((log_weight - len(cells) * math.log(self.num_subcells), mean, frequency, phase))
            rounds.append(waves)
        return cells, rounds

    def _noised(self, x: TensorLike, sigma: Sigma) -> tuple[tf.Tensor, tf.Tensor]:
        """Return events as y (batch, time), and sigma (batch,)."""
        x = tf.cast(tf.convert_to_tensor(x), self.tf_dtype)
        self.check_events(x)
        return x[..., 0], per_example_sigma(self.smallest_sigma if sigma is None else sigma, x)

    def _posterior(self, x: TensorLike, sigma: Sigma) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """Return y (batch, time), sigma (batch,), log p (batch,) and E[a w | y] (batch, time)."""
        y, sigma = self._noised(x, sigma)
        cells, rounds = self._leaf_cells(y, sigma)
        joint = tf.concat([each[0] for each in cells], -1)
        weights = tf.split(tf.nn.softmax(joint), [each[0].shape[1] for each in cells], axis=-1)
        clean = tf.matmul(weights[0] * cells[0][1], self._waves)
        for weight, each, waves in zip(weights[1:], cells[1:], rounds, strict=True):
            clean += tf.einsum("bc,bct->bt", weight * each[1], waves)
        return y, sigma, tf.reduce_logsumexp(joint, -1) - math.log(toy.NUM_KEYS * self.num_phases), clean

    def log_prob(self, x: TensorLike, sigma: Sigma | None = None) -> tf.Tensor:
        """Compute the log-density of the noised class in nats: (batch, time, 1) -> (batch,)."""
        return self._posterior(x, sigma)[2]

    def denoise(self, x: TensorLike, sigma: Sigma) -> tf.Tensor:
        """Compute the posterior mean of the clean example: (batch, time, 1) -> the same."""
        return self._posterior(x, sigma)[3][..., tf.newaxis]

    def score(self, x: TensorLike, sigma: Sigma | None = None) -> tf.Tensor:
        """Compute (denoise(x) - x) / sigma^2: (batch, time, 1) -> the same."""
        y, level, _, clean = self._posterior(x, sigma)
        return ((clean - y) / level[:, tf.newaxis] ** 2)[..., tf.newaxis]

    def posterior_sample(self, y: TensorLike, sigma: Sigma, seed: Seed) -> tf.Tensor:
        """Draw a cell by its share of the density, then the amplitude: (batch, time, 1) -> the same, without noise."""
        y, sigma = self._noised(y, sigma)
        seeds = split(tf.cast(seed, tf.int32), 2)
        cells, _ = self._leaf_cells(y, sigma)
        joint, _, frequency, phase = (tf.concat(parts, -1) for parts in zip(*cells, strict=True))
        shares = tf.cumsum(tf.nn.softmax(tf.cast(joint, tf.float64)), axis=-1)
        chance = uniform(tf.shape(joint)[:1], seeds[0], tf.float64) * shares[:, -1]
        chosen = tf.searchsorted(shares, chance[:, tf.newaxis], side="right")
        frequency, phase = (tf.gather(value, chosen, batch_dims=1)[:, 0] for value in (frequency, phase))
        wave = self._render(frequency, phase)
        energy = tf.reduce_sum(wave**2, -1)
        best = tf.reduce_sum(wave * y, -1) / energy
        amplitude = draw_truncated_normal(
            best, sigma / tf.sqrt(energy), *toy.AMPLITUDES, uniform(tf.shape(energy), seeds[1], tf.float64)
        )
        return (amplitude[:, tf.newaxis] * wave)[..., tf.newaxis]

    def sample(self, num: int, seed: Seed, sigma: Sigma | None = None) -> tf.Tensor:
        """Draw examples of the class and add noise: (num, time, 1)."""
        clean = tf.cast(self.data.draw(self.source, num, self.event_shape[0], seed), self.tf_dtype)[..., tf.newaxis]
        # The data's own tables are drawn from seeds that this one could equal.
        seed = tf.random.experimental.stateless_fold_in(tf.cast(seed, tf.int32), 1)
        noise = tf.random.stateless_normal(clean.shape, seed, dtype=self.tf_dtype, alg="philox")
        level = tf.reshape(per_example_sigma(self.smallest_sigma if sigma is None else sigma, clean), [-1, 1, 1])
        return clean + level * noise
