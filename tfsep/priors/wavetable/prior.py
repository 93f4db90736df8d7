r"""Wavetable prior: one learned period, played at any pitch and phase, decaying; its density in closed form.

.. math:: x = a\,u + \rho\,\epsilon, \qquad u(t) = e^{-rt}\, w(ft + \varphi)

with a learned period w, pitches f and decay rates r of learned weights, a phase uniform over the
period, an amplitude :math:`a \sim \mathcal{N}(\mu, s^2)`, :math:`a > 0`, and a residual of
deviation :math:`\rho`. Under noise :math:`v = \sigma^2 + \rho^2`: the amplitude integrates exactly
(positive_amplitude.py), pitch, decay and phase are summed over cells (inference.py), and

.. math:: \nabla_y \log p_\sigma(y) = \frac{E[a\,u|y] - y}{v}, \qquad
          E[x|y] = y + \frac{\sigma^2}{v} (E[a\,u|y] - y).

What is learned is learned from isolated sounds alone, without labels and without gradients
(learning.py).
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from tfsep.audio.front_end import FrontEnd
from tfsep.axes import Seed, Sigma, TensorLike
from tfsep.priors.base import per_example_sigma
from tfsep.priors.closed_form import LearnedAtOnce
from tfsep.priors.positive_amplitude import draw
from tfsep.priors.wavetable.inference import EventInference, categorical, integrate, voice_of
from tfsep.priors.wavetable.parameter_grid import ParameterGrid
from tfsep.runtime import stateless_random

PITCHES = ("grid", "continuous")
#: Steps along which :meth:`WavetablePrior.directions` takes differences: in periods, and in nats.
_PHASE_STEP, _DECAY_STEP = 0.125, 0.1


class WavetablePrior(LearnedAtOnce):
    """A learned oscillator as a density over waves; see the module's text.

    Args:
        front_end: must be of the domain "wave".
        event_shape: (time, 1).
        sample_rate: Hz.
        pitches: "grid" for a learned set of separate pitches, "continuous" for every pitch of the
            range.
        pitch_range: lowest and highest fundamental, Hz.
        num_pitches: most pitches of a grid, or cells of a continuum.
        decay_range: smallest and largest time constant in seconds; None is no decay.
        num_decays: cells of the decay.
        table_size: points of the learned period.
        num_phases: phase cells of each pitch; half as many harmonics find cells.
        num_refined: cells divided in each round, per example.
        num_rounds: how often cells are divided.
        padding: length of the padded event whose spectrum finds cells, in events.
        smallest_sigma: what ``sigma=None`` means.
        dtype: "float32" or "float64".

    Raises:
        ValueError: for events that are not waves, or a setting out of its range.
    """

    kind = "wavetable"
    full_precision = True
    has_posterior_sample = True
    has_directions = True

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
        padding: int = 16,
        smallest_sigma: float = 0.01,
        dtype: str = "float32",
    ) -> None:
        """Create the weights: a sine, every pitch alike; :meth:`learn` replaces them."""
        super().__init__(front_end, event_shape, smallest_sigma, dtype)
        if pitches not in PITCHES:
            raise ValueError(f"pitches must be one of {', '.join(PITCHES)}, got {pitches!r}")
        if not 0.0 < pitch_range[0] < pitch_range[1] <= sample_rate / 2:
            raise ValueError(f"pitch_range must ascend within 0..{sample_rate / 2:g} Hz, got {pitch_range}")
        if decay_range is not None and not 0.0 < decay_range[0] < decay_range[1]:
            raise ValueError(f"decay_range must be two positive numbers in ascending order, got {decay_range}")
        if (
            min(num_pitches, num_decays, num_refined, num_rounds, padding) < 1
            or num_phases < 8
            or table_size < num_phases
        ):
            raise ValueError("counts must be at least 1, num_phases at least 8 and table_size at least num_phases")
        low, high = pitch_range
        self.sample_rate, self.pitches = sample_rate, pitches
        self.pitch_range, self.decay_range = (low, high), decay_range
        width = (high - low) / num_pitches
        log_rate: np.ndarray = np.zeros(1)
        decay_width = 0.0
        if decay_range is not None:
            decay_width = math.log(decay_range[1] / decay_range[0]) / num_decays
            log_rate = -math.log(decay_range[1]) + decay_width * (np.arange(num_decays) + 0.5)
        self.grid = ParameterGrid(
            length=self.event_shape[0],
            sample_rate=sample_rate,
            num_phases=num_phases,
            pitch_width=width if pitches == "continuous" else 0.0,
            decay_width=decay_width,
            num_refined=num_refined,
            num_rounds=num_rounds,
            padding=padding,
        )
        self.log_rate = tf.constant(log_rate, self.tf_dtype)
        self.table = self._weight("table", np.sin(math.tau * np.arange(table_size) / table_size))
        self.frequency = self._weight("frequency", low + width * (np.arange(num_pitches) + 0.5))
        self.pitch_weight = self._weight("pitch_weight", np.full(num_pitches, 1.0 / num_pitches))
        self.decay_weight = self._weight("decay_weight", np.full(len(log_rate), 1.0 / len(log_rate)))
        self.amplitude = self._weight("amplitude", [0.7, 0.5])
        self.residual = self._weight("residual", 0.05)
        self.built = True

    def log_prob(self, x: TensorLike, sigma: Sigma | None = None) -> tf.Tensor:
        """Compute the log-density of noised events in nats: (batch, time, 1) -> (batch,)."""
        return self._infer(x, sigma)[2].log_prob

    def denoise(self, x: TensorLike, sigma: Sigma) -> tf.Tensor:
        """Compute the posterior mean of the clean event, its residual included: (batch, time, 1) -> the same."""
        y, noise, inferred = self._infer(x, sigma)
        share = noise / (noise + tf.convert_to_tensor(self.residual) ** 2)
        return (y + share[:, tf.newaxis] * (inferred.clean - y))[..., tf.newaxis]

    def score(self, x: TensorLike, sigma: Sigma | None = None) -> tf.Tensor:
        """Compute the gradient of :meth:`log_prob` in x: (batch, time, 1) -> the same."""
        y, noise, inferred = self._infer(x, sigma)
        variance = noise + tf.convert_to_tensor(self.residual) ** 2
        return ((inferred.clean - y) / variance[:, tf.newaxis])[..., tf.newaxis]

    def posterior_sample(self, y: TensorLike, sigma: Sigma, seed: Seed) -> tf.Tensor:
        """Draw a note, its amplitude and the residual given noised events: (batch, time, 1) -> the same."""
        seeds = stateless_random.split(tf.cast(seed, tf.int32), 3)
        count = tf.shape(tf.convert_to_tensor(y))[:1]
        uniform = stateless_random.uniform(count, seeds[0], self.tf_dtype)
        y, noise, inferred = self._infer(y, sigma, uniform)
        residual = tf.convert_to_tensor(self.residual) ** 2
        wave = self.grid.render(tf.convert_to_tensor(self.table), inferred.drawn)
        inner, energy = tf.reduce_sum(wave * y, -1), tf.reduce_sum(wave**2, -1)
        uniform = stateless_random.uniform(count, seeds[1], tf.float64)
        level = draw(inner, energy, noise + residual, tf.convert_to_tensor(self.amplitude), uniform)
        clean = level[:, tf.newaxis] * wave
        share = (residual / (noise + residual))[:, tf.newaxis]
        normal = stateless_random.normal(tf.shape(y), seeds[2], self.tf_dtype)
        return (clean + share * (y - clean) + tf.sqrt(share * noise[:, tf.newaxis]) * normal)[..., tf.newaxis]

    def directions(self, y: TensorLike, sigma: Sigma) -> tf.Tensor:
        """Return the wave of the likeliest note, and how it changes with phase and with what else is open.

        The phase moves by an eighth of a period to either side. The fundamental then is in their span
        at any phase, and so is all of a sine. See :meth:`Prior.directions`: (batch, time, 1) ->
        (batch, direction, time, 1).
        """
        notes, grid, table = self.explain(y, sigma), self.grid, tf.convert_to_tensor(self.table)
        steps = [(1, _PHASE_STEP)]
        steps += [(0, _PHASE_STEP * self.sample_rate / grid.length)] if grid.pitch_width else []
        steps += [(2, _DECAY_STEP)] if grid.decay_width else []
        waves = [grid.render(table, notes)]
        for axis, step in steps:
            change = tf.one_hot(axis, 3, tf.cast(step, notes.dtype), dtype=notes.dtype)
            waves.append(grid.render(table, notes + change) - grid.render(table, notes - change))
        return tf.stack(waves, axis=1)[..., tf.newaxis]

    def denoise_beside(self, y: TensorLike, sigma: Sigma, beside: TensorLike) -> tf.Tensor:
        """Compute the mean of a clean event, without residual, beside waves; see :meth:`Prior.denoise_beside`."""
        beside = tf.cast(tf.convert_to_tensor(beside), self.tf_dtype)[..., 0]
        return self._infer(y, sigma, beside=beside)[2].clean[..., tf.newaxis]

    def explain(self, x: TensorLike, sigma: Sigma | None = None) -> tf.Tensor:
        """Return the likeliest note of each event: (batch, time, 1) -> (batch, 3).

        Its pitch in Hz, its phase in periods at the event's middle, the log of its decay rate in
        1/s.
        """
        return self._infer(x, sigma)[2].likeliest

    def _infer(
        self, x: TensorLike, sigma: Sigma, uniform: tf.Tensor | None = None, beside: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor, EventInference]:
        """Return events (batch, time), the noise's variances (batch,) and inferences, one example after the other."""
        x = tf.cast(tf.convert_to_tensor(x), self.tf_dtype)
        self.check_events(x)
        y, grid = x[..., 0], self.grid
        noise = per_example_sigma(self.smallest_sigma if sigma is None else sigma, y) ** 2
        table, amplitude, frequency, pitch_weight, decay_weight, residual = (
            tf.convert_to_tensor(weight)
            for weight in (
                self.table,
                self.amplitude,
                self.frequency,
                self.pitch_weight,
                self.decay_weight,
                self.residual,
            )
        )
        weight = decay_weight[:, tf.newaxis] * pitch_weight
        voice = voice_of(grid, table, amplitude, frequency, self.log_rate, weight)

        def one(event: dict[str, tf.Tensor]) -> EventInference:
            variance = event["noise"] + residual**2
            return integrate(grid, voice, event["y"], variance, event.get("uniform"), event.get("beside"))

        given = {"y": y, "noise": noise, "uniform": uniform, "beside": beside}
        events = {name: value for name, value in given.items() if value is not None}
        kinds = EventInference(*[self.tf_dtype] * len(EventInference._fields))
        return y, noise, tf.map_fn(one, events, fn_output_signature=kinds, parallel_iterations=4)

    def sample(self, num: int, seed: Seed, sigma: Sigma | None = None) -> tf.Tensor:
        """Play ``num`` notes drawn from the learned weights and add residual and noise: (num, time, 1)."""
        seeds = tf.random.split(tf.cast(seed, tf.int32), 3)
        uniform = tf.random.stateless_uniform([num, 5], seeds[0], dtype=self.tf_dtype, alg="philox")
        normal = tf.random.stateless_normal([num, self.grid.length], seeds[1], dtype=self.tf_dtype, alg="philox")
        pitch = categorical(tf.convert_to_tensor(self.pitch_weight), uniform[:, 0])
        decay = categorical(tf.convert_to_tensor(self.decay_weight), uniform[:, 1])
        notes = tf.stack(
            [
                tf.gather(self.frequency, pitch) + self.grid.pitch_width * (uniform[:, 2] - 0.5),
                uniform[:, 3],
                tf.gather(self.log_rate, decay) + self.grid.decay_width * (uniform[:, 4] - 0.5),
            ],
            -1,
        )
        wave = self.grid.render(tf.convert_to_tensor(self.table), notes)
        nothing = tf.zeros([num], self.tf_dtype)
        uniform = tf.random.stateless_uniform([num], seeds[2], dtype=tf.float64, alg="philox")
        amplitude = tf.convert_to_tensor(self.amplitude)
        level = draw(nothing, nothing, tf.ones_like(nothing), amplitude, uniform)
        noise = per_example_sigma(self.smallest_sigma if sigma is None else sigma, wave)
        rest = tf.sqrt(noise**2 + tf.convert_to_tensor(self.residual) ** 2)
        return (level[:, tf.newaxis] * wave + rest[:, tf.newaxis] * normal)[..., tf.newaxis]
