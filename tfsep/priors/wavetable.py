r"""Wavetable prior: one learned period, played at any pitch and phase, decaying; its density in closed form.

.. math:: x = a\,u + \rho\,\epsilon, \qquad u(t) = e^{-rt}\, w(ft + \varphi)

with a learned period w, pitches f and decay rates r of learned weights, a phase uniform over the period, an amplitude
:math:`a \sim \mathcal{N}(\mu, s^2)`, :math:`a > 0`, and a residual of deviation :math:`\rho`. Under noise, with
:math:`v = \sigma^2 + \rho^2`, :math:`n = \|u\|^2`, :math:`\lambda = n / v + 1 / s^2` and
:math:`l = u^T y / v + \mu / s^2`, the amplitude integrates exactly,

.. math:: \log p_\sigma(y|u) = -\tfrac{D}{2} \log 2\pi v - \tfrac{\|y\|^2}{2v} - \tfrac12 \log(s^2 \lambda)
          + \frac{l^2}{2 \lambda} - \frac{\mu^2}{2 s^2} + \log \frac{\Phi(l / \sqrt\lambda)}{\Phi(\mu / s)},

and pitch, decay and phase are summed over cells (wavetable_cells.py). Score and denoiser are those of this density.
What is learned is learned from isolated sounds alone, without labels and without gradients (wavetable_learning.py).
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfsep.audio.front_end import FrontEnd
from tfsep.priors.base import Prior, per_example_sigma
from tfsep.priors.wavetable_cells import Box, log_evidence, log_likelihood

PITCHES = ("grid", "continuous")


class WavetablePrior(keras.Model, Prior):
    """A learned oscillator as a density over waves; see the module's text.

    Args:
        front_end: must be of the domain "wave".
        event_shape: (time, 1).
        sample_rate: Hz.
        pitches: "grid" for a learned set of separate pitches, "continuous" for every pitch of the range.
        pitch_range: lowest and highest fundamental, Hz.
        num_pitches: most pitches of a grid, or cells of a continuum.
        decay_range: smallest and largest time constant in seconds; None is no decay.
        num_decays: cells of the decay.
        table_size: points of the learned period.
        num_phases: phase cells of each pitch; half as many harmonics find cells.
        num_refined: cells divided in each round, per example.
        num_rounds: how often cells are divided.
        smallest_sigma: what ``sigma=None`` means.
        dtype: "float32" or "float64".

    Raises:
        ValueError: for events that are not waves, or a setting out of its range.
    """

    kind = "wavetable"
    full_precision = True

    def __init__(
        self,
        front_end: FrontEnd,
        event_shape: tuple[int, ...],
        sample_rate: int = 16000,
        pitches: str = "grid",
        pitch_range: tuple[float, float] = (25.0, 4400.0),
        num_pitches: int = 128,
        decay_range: tuple[float, float] | None = None,
        num_decays: int = 4,
        table_size: int = 2048,
        num_phases: int = 64,
        num_refined: int = 4,
        num_rounds: int = 3,
        smallest_sigma: float = 0.01,
        dtype: str = "float32",
    ) -> None:
        """Create the weights: a sine, every pitch alike; :meth:`learn` replaces them."""
        super().__init__(name="wavetable", dtype=dtype)
        if front_end.domain != "wave" or len(event_shape) != 2 or event_shape[1] != 1:
            raise ValueError("a wavetable prior is a density over waves, events (time, 1)")
        if pitches not in PITCHES:
            raise ValueError(f"pitches must be one of {', '.join(PITCHES)}, got {pitches!r}")
        if not 0.0 < pitch_range[0] < pitch_range[1] <= sample_rate / 2:
            raise ValueError(f"pitch_range must ascend within 0..{sample_rate / 2:g} Hz, got {pitch_range}")
        if decay_range is not None and not 0.0 < decay_range[0] < decay_range[1]:
            raise ValueError(f"decay_range must be two positive numbers in ascending order, got {decay_range}")
        if min(num_pitches, num_decays, num_refined, num_rounds) < 1 or num_phases < 8 or table_size < num_phases:
            raise ValueError("counts must be at least 1, num_phases at least 8 and table_size at least num_phases")
        if not smallest_sigma > 0.0:
            raise ValueError(f"smallest_sigma must be positive, got {smallest_sigma}")
        self.front_end, self.domain, self.event_shape = front_end, front_end.domain, tuple(event_shape)
        low, high = pitch_range
        self.smallest_sigma, self.sample_rate, self.pitches = smallest_sigma, sample_rate, pitches
        self.pitch_range, self.decay_range = (low, high), decay_range
        self.tf_dtype = tf.as_dtype(dtype)
        width = (high - low) / num_pitches
        log_rate: np.ndarray = np.zeros(1)
        decay_width = 0.0
        if decay_range is not None:
            decay_width = math.log(decay_range[1] / decay_range[0]) / num_decays
            log_rate = -math.log(decay_range[1]) + decay_width * (np.arange(num_decays) + 0.5)
        self.box = Box(
            length=self.event_shape[0],
            sample_rate=sample_rate,
            num_phases=num_phases,
            pitch_width=width if pitches == "continuous" else 0.0,
            decay_width=decay_width,
            num_refined=num_refined,
            num_rounds=num_rounds,
        )
        self.log_rate = tf.constant(log_rate, self.tf_dtype)
        self.table = self._weight("table", np.sin(math.tau * np.arange(table_size) / table_size))
        self.frequency = self._weight("frequency", low + width * (np.arange(num_pitches) + 0.5))
        self.pitch_weight = self._weight("pitch_weight", np.full(num_pitches, 1.0 / num_pitches))
        self.decay_weight = self._weight("decay_weight", np.full(len(log_rate), 1.0 / len(log_rate)))
        self.amplitude = self._weight("amplitude", [0.7, 0.5])
        self.residual = self._weight("residual", 0.05)
        self.built = True

    def _weight(self, name: str, value: Any) -> tf.Variable:
        value = np.asarray(value, self.tf_dtype.as_numpy_dtype)
        start = keras.initializers.Constant(value)
        return self.add_weight(shape=value.shape, initializer=start, trainable=False, name=name)

    def log_prob(self, x: Any, sigma: Any = None) -> tf.Tensor:
        """Log-density of noised events in nats: (batch, time, 1) -> (batch,)."""
        return self._evaluate(x, sigma)[0]

    def score(self, x: Any, sigma: Any = None) -> tf.Tensor:
        """Gradient of :meth:`log_prob` in x: (batch, time, 1) -> the same."""
        return self._evaluate(x, sigma)[1][..., tf.newaxis]

    def explain(self, x: Any, sigma: Any = None) -> tf.Tensor:
        """The likeliest note of each event: (batch, time, 1) -> (batch, 3).

        Its pitch in Hz, its phase in periods at the event's middle, the log of its decay rate in 1/s.
        """
        return self._evaluate(x, sigma)[2]

    def call(self, x: tf.Tensor, sigma: tf.Tensor | None = None) -> tf.Tensor:
        """Keras' call: the log-density."""
        return self.log_prob(x, sigma)

    def _evaluate(self, x: Any, sigma: Any) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Log-density (batch,), its gradient (batch, time) and the likeliest note (batch, 3), example by example."""
        x = tf.cast(tf.convert_to_tensor(x), self.tf_dtype)
        self.check_events(x)
        y = x[..., 0]
        sigma = per_example_sigma(self.smallest_sigma if sigma is None else sigma, y)
        box = self.box
        envelopes = box.envelopes(self.log_rate) if box.decay_width else tf.ones([1, box.length], y.dtype)
        harmonics = self.box.harmonics(tf.convert_to_tensor(self.table))
        period = tf.signal.irfft(harmonics * self.box.num_phases, [4 * self.box.num_phases]) * 4.0
        squared = tf.signal.rfft(period**2)[: self.box.num_phases // 2] / (4 * self.box.num_phases)
        frequency = tf.convert_to_tensor(self.frequency)
        energy = self.box.inner_products(envelopes**2, squared, frequency)
        weight = tf.convert_to_tensor(self.decay_weight)[:, tf.newaxis] * tf.convert_to_tensor(self.pitch_weight)
        log_weight = tf.math.log(weight / self.box.num_phases)[..., tf.newaxis]

        def one(pair: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(pair[0])
                value, note = self._integrate(pair[0], pair[1] ** 2, envelopes, harmonics, energy, log_weight)
            return value, tape.gradient(value, pair[0]), note

        return tf.map_fn(one, (y, sigma), fn_output_signature=(self.tf_dtype,) * 3, parallel_iterations=4)

    def _integrate(
        self,
        y: tf.Tensor,
        noise: tf.Tensor,
        envelopes: tf.Tensor,
        harmonics: tf.Tensor,
        energy: tf.Tensor,
        log_weight: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Log-density of one event (time,) and its likeliest note (3,)."""
        box, table = self.box, tf.convert_to_tensor(self.table)
        amplitude = tf.convert_to_tensor(self.amplitude)
        variance = noise + tf.convert_to_tensor(self.residual) ** 2
        inner = box.inner_products(y * envelopes, harmonics, tf.convert_to_tensor(self.frequency))
        silent = -0.5 * tf.reduce_sum(y**2) / variance
        joint = silent + log_evidence(inner, tf.maximum(energy, 1e-6), variance, amplitude) + log_weight
        rows = tf.reshape(joint, [-1, box.num_phases])
        row = tf.math.top_k(tf.reduce_max(rows, -1), min(box.num_refined, rows.shape[0]))[1]
        place = tf.math.top_k(tf.reshape(tf.gather(rows, row), [-1]), box.num_refined)[1]
        row, phase = tf.gather(row, place // box.num_phases), place % box.num_phases
        notes = tf.stack(
            [
                tf.gather(tf.convert_to_tensor(self.frequency), row % self.frequency.shape[0]),
                tf.cast(phase, y.dtype) / box.num_phases,
                tf.gather(self.log_rate, row // self.frequency.shape[0]),
            ],
            -1,
        )
        chosen = row * box.num_phases + phase
        cell_weight = tf.gather(tf.reshape(tf.broadcast_to(log_weight, joint.shape), [-1]), chosen)
        leaves, last = [], tf.reshape(joint, [-1])
        for number in range(box.num_rounds):
            gone = tf.fill([box.num_refined], tf.cast(-math.inf, y.dtype))
            leaves.append(tf.tensor_scatter_nd_update(last, chosen[:, tf.newaxis], gone))
            offsets = box.offsets(number, y.dtype)
            notes = tf.reshape(notes[:, tf.newaxis] + offsets, [-1, 3])
            cell_weight = tf.repeat(cell_weight - math.log(offsets.shape[0]), offsets.shape[0])
            last = cell_weight + log_likelihood(y, box.render(table, notes), variance, amplitude)
            if number + 1 < box.num_rounds:
                chosen = tf.math.top_k(last, box.num_refined)[1]
                notes, cell_weight = tf.gather(notes, chosen), tf.gather(cell_weight, chosen)
        total = tf.reduce_logsumexp(tf.concat([*leaves, last], 0))
        constant = 0.5 * self.dimensions * tf.math.log(math.tau * variance)
        return total - constant, tf.gather(notes, tf.argmax(last))

    def sample(self, num: int, seed: Any, sigma: Any = None) -> tf.Tensor:
        """Play ``num`` notes drawn from the learned weights and add residual and noise: (num, time, 1)."""
        seed = tf.cast(seed, tf.int32)
        uniform = tf.random.stateless_uniform([num, 6], seed, dtype=self.tf_dtype, alg="philox")
        normal = tf.random.stateless_normal([num, self.box.length], seed + 1, dtype=self.tf_dtype, alg="philox")
        pitch = _categorical(tf.convert_to_tensor(self.pitch_weight), uniform[:, 0])
        decay = _categorical(tf.convert_to_tensor(self.decay_weight), uniform[:, 1])
        notes = tf.stack(
            [
                tf.gather(self.frequency, pitch) + self.box.pitch_width * (uniform[:, 2] - 0.5),
                uniform[:, 3],
                tf.gather(self.log_rate, decay) + self.box.decay_width * (uniform[:, 4] - 0.5),
            ],
            -1,
        )
        wave = self.box.render(tf.convert_to_tensor(self.table), notes)
        mean, spread = tf.convert_to_tensor(self.amplitude[0]), tf.convert_to_tensor(self.amplitude[1])
        top = tf.fill([], tf.cast(math.inf, self.tf_dtype))
        level = tfd.TruncatedNormal(mean, spread, tf.zeros_like(mean), top).quantile(uniform[:, 5:])
        noise = per_example_sigma(self.smallest_sigma if sigma is None else sigma, wave)
        rest = tf.sqrt(noise**2 + tf.convert_to_tensor(self.residual) ** 2)
        return (level * wave + rest[:, tf.newaxis] * normal)[..., tf.newaxis]


def _categorical(weight: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
    """Indices drawn with the given weights from uniform numbers in 0..1."""
    return tf.minimum(tf.searchsorted(tf.cumsum(weight), uniform * tf.reduce_sum(weight)), weight.shape[0] - 1)


def wavetable(front_end: FrontEnd, event_shape: tuple[int, ...], **settings: Any) -> WavetablePrior:
    """Build :class:`WavetablePrior`."""
    return WavetablePrior(front_end, event_shape, **settings)
