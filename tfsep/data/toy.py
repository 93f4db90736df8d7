r"""Toy sources: one oscillator per class, one note per example.

An example of a class is :math:`s(n) = a\, w(f n / f_s + \phi)` with the class's waveform w
(oscillators.py), one fundamental f out of the 88 piano keys (:math:`27.5 \cdot 2^{k/12}` Hz, 27.5
to 4,186 Hz), a phase uniform over the period and an amplitude uniform in 0.8..1 (the original
study's range). A mixture is the mean of one example of each class. The ``free`` variant draws the
pitch continuously (log-uniform over the piano's range) and decays, :math:`a e^{-n / (f_s \tau)}`
with :math:`\tau` log-uniform in 0.05..0.5 s, so that a memorised grid of notes is no model.

Everything is drawn by the counter-based Philox generator from (seed, step, class), so the numbers
are the same on every machine, in any order, in or out of a graph. (XLA has another generator: under
``jit_compile`` they differ.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfsep.axes import Seed, TensorLike, Waves
from tfsep.data import oscillators
from tfsep.errors import InputError

NUM_KEYS = 88
LOWEST_KEY = 27.5
AMPLITUDES = (0.8, 1.0)
DECAYS = (0.05, 0.5)
_TEST_TABLES = 0x5EED


def key_frequencies() -> np.ndarray:
    """Return the fundamentals of the 88 keys in Hz, float64, in equal temperament with A4 = 440 Hz."""
    return LOWEST_KEY * 2.0 ** (np.arange(NUM_KEYS) / 12.0)


def _uniform(num: int, seed: tf.Tensor, column: int) -> tf.Tensor:
    """Draw one column of the seed's table of random numbers: (num,) float64 in [0, 1)."""
    return tf.random.stateless_uniform((num, 4), seed, dtype=tf.float64, alg="philox")[:, column]


def _float64(value: TensorLike) -> tf.Tensor:
    """Cast a tensor to float64, and convert anything else without rounding to float32."""
    return tf.cast(value, tf.float64) if tf.is_tensor(value) else tf.convert_to_tensor(value, tf.float64)


def render(
    kind: str,
    frequency: tf.Tensor,
    phase: tf.Tensor,
    amplitude: tf.Tensor,
    length: int,
    sample_rate: int,
    band_limited: bool = False,
) -> tf.Tensor:
    """Sample an oscillator.

    Args:
        kind: one of :data:`tfsep.data.oscillators.ALL_KINDS`.
        frequency: (num,), Hz.
        phase: (num,), periods at the first sample.
        amplitude: (num,), linear.
        length: samples.
        sample_rate: Hz.
        band_limited: only the harmonics below half the sample rate, instead of the naive form that
            aliases.

    Returns:
        (num, time) float64.

    Raises:
        ValueError: for another kind.
    """
    frequency, phase, amplitude = (_float64(value) for value in (frequency, phase, amplitude))
    time = tf.range(length, dtype=tf.float64) / sample_rate
    cycles = frequency[:, tf.newaxis] * time + phase[:, tf.newaxis]
    if band_limited:
        num_harmonics = tf.cast(tf.math.ceil(0.5 * sample_rate / frequency) - 1.0, tf.int32)
        wave = oscillators.band_limited(kind, cycles, tf.maximum(num_harmonics, 1))
    else:
        wave = oscillators.naive(kind, cycles)
    return amplitude[:, tf.newaxis] * wave


@dataclass(frozen=True)
class ToyData:
    """The toy classes as a data set of isolated sources (see :class:`tfsep.data.pipeline.SourceData`).

    Attributes:
        sample_rate: Hz, at least 8,400 so that the highest key is below half of it.
        free: continuous pitch and an exponential decay instead of the grid of keys.
        band_limited: Fourier sums below half the sample rate instead of aliasing naive waveforms.
        sources: the classes drawn, out of sine, sawtooth, square, triangle and pulse; the first four by default.
    """

    sample_rate: int = 16000
    free: bool = False
    band_limited: bool = False
    sources: tuple[str, ...] = oscillators.KINDS

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            InputError: naming the setting, its rule and its value.
        """
        if self.sample_rate < 8400:
            raise InputError(f"sample_rate must be at least 8400 Hz to hold the highest key, got {self.sample_rate}")
        names = list(self.sources)
        if not names or len(set(names)) < len(names) or not set(names) <= set(oscillators.ALL_KINDS):
            raise InputError(f"sources must be different ones of {', '.join(oscillators.ALL_KINDS)}, got {names}")

    @property
    def mixing_gains(self) -> tuple[float, ...]:
        """Return equal gains: toy mixtures are the mean of their sources."""
        return (1.0 / len(self.sources),) * len(self.sources)

    def draw(self, source: str, num: int, length: int, seed: Seed) -> Waves:
        """Draw isolated examples of one class.

        Args:
            source: the class.
            num: how many.
            length: samples of each.
            seed: two integers (seed, step); each pair and each class has a table of its own.

        Returns:
            (num, time) float32, within -1..1 (naive) or about -1.18..1.18 (band-limited).

        Raises:
            InputError: for a class that is not among the sources.
        """
        if source not in self.sources:
            raise InputError(f"source must be one of {', '.join(self.sources)}, got {source!r}")
        seed = tf.cast(tf.convert_to_tensor(seed), tf.int64)
        # Tables below zero are of further classes, so that those of the four stay what they were.
        extra = len(oscillators.ALL_KINDS) - len(oscillators.KINDS)
        place = oscillators.ALL_KINDS.index(source) - len(oscillators.KINDS)
        first = -1 - (seed[0] * extra + place) if place >= 0 else (seed[0] + 1) * len(oscillators.KINDS) + place
        seed = tf.stack([first, seed[1]])
        position = _uniform(num, seed, 0)
        if self.free:
            frequency = LOWEST_KEY * 2.0 ** (position * (NUM_KEYS - 1) / 12.0)
        else:
            frequency = tf.gather(tf.constant(key_frequencies()), tf.cast(position * NUM_KEYS, tf.int32))
        low, high = AMPLITUDES
        amplitude = low + (high - low) * _uniform(num, seed, 2)
        wave = render(source, frequency, _uniform(num, seed, 1), amplitude, length, self.sample_rate, self.band_limited)
        if self.free:
            span = math.log(DECAYS[1] / DECAYS[0])
            decay = DECAYS[0] * tf.exp(span * _uniform(num, seed, 3))
            time = tf.range(length, dtype=tf.float64) / self.sample_rate
            wave *= tf.exp(-time / decay[:, tf.newaxis])
        return tf.cast(wave, tf.float32)


def examples(
    source: str, num: int, length: int, sample_rate: int, seed: int, free: bool = False, band_limited: bool = False
) -> np.ndarray:
    """Draw isolated test examples of one class: (num, time) float32, from tables that training never draws."""
    data = ToyData(sample_rate=sample_rate, free=free, band_limited=band_limited, sources=(source,))
    drawn: np.ndarray = data.draw(source, num, length, (seed, -_TEST_TABLES)).numpy()
    return drawn


def mixtures(
    num: int, length: int, sample_rate: int = 16000, seed: int = 0, free: bool = False, band_limited: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Draw test mixtures, the mean of one example of each class.

    Returns:
        mixture (num, time) and sources (num, 4, time), float32, in the order sine, sawtooth,
        square, triangle.
    """
    sources = np.stack(
        [examples(kind, num, length, sample_rate, seed, free, band_limited) for kind in oscillators.KINDS], axis=1
    )
    return sources.mean(axis=1, dtype=np.float64).astype(np.float32), sources
