r"""Random effects on excerpts of isolated sources: what a studio, a device or a codec does to a sound.

In this order, each in a share of the excerpts:

- saturation :math:`\tanh(g x / r)`, r the excerpt's RMS and g log-uniform from 0.1 to 3;
- compression :math:`x\,(e(t) / r)^{-c}`, e(t) the RMS of frames of 512 samples, c uniform from 0 to
  0.7;
- a zero-phase equaliser: a low shelf (corner 60 to 250 Hz), a high shelf (corner 1.5 to 6 kHz) and
  a tilt, with gains uniform in dB;
- a band limit, as of a codec or a lower sample rate: nothing above 2 kHz to half the sample rate;
- reverberation by exponentially decaying noise of 0.1 to 2 s, 6 to 25 dB below the sound.

Every random number comes in from outside, so effects are a pure function.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import tensorflow as tf

from tfsep.axes import Waves
from tfsep.errors import InputError

#: Random numbers of one excerpt.
NUM_UNIFORM = 18
LOW_CORNERS, HIGH_CORNERS, LOWEST_LIMIT = (60.0, 250.0), (1500.0, 6000.0), 2000.0
_FRAME = 512
_SMALL = 1e-7


@dataclass(frozen=True)
class Effects:
    """Which effects excerpts get, and how strong they are.

    Attributes:
        saturation, compression, reverberation, band_limit: share of excerpts with each, in 0..1.
        shelf_db: largest gain of the low shelf, in either direction; that of the high shelf is two
            thirds of it.
        tilt_db: largest slope of the tilt in dB an octave, in either direction.
        layer: share of excerpts with a second voice: the same recording, a few cents or a musical
            interval away.
        common_limit: share of mixtures whose sources all have one band limit.
    """

    saturation: float = 0.2
    compression: float = 0.2
    reverberation: float = 0.15
    band_limit: float = 0.1
    shelf_db: float = 12.0
    tilt_db: float = 1.0
    layer: float = 0.1
    common_limit: float = 0.15

    def __post_init__(self) -> None:
        """Check every range.

        Raises:
            InputError: naming the setting, its rule and its value.
        """
        for each in fields(self):
            value = getattr(self, each.name)
            largest = math.inf if each.name.endswith("_db") else 1.0
            if not 0.0 <= value <= largest or not math.isfinite(value):
                rule = "a finite number of at least 0" if largest > 1.0 else "in 0..1"
                raise InputError(f"effects.{each.name} must be {rule}, got {value}")

    def ratio(self, uniform: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return by what the second voice's speed differs, and its level, 0 for none: both (num,) float64.

        Args:
            uniform: (num, 3) in [0, 1).
        """
        cents = (2.0 * uniform[:, 1] - 1.0) * 40.0
        intervals = tf.constant([-12.0, -5.0, -4.0, -3.0, 3.0, 4.0, 5.0, 7.0], tf.float64)
        which = tf.cast(uniform[:, 1] * 8.0, tf.int32)
        semitones = tf.where(uniform[:, 2] < 0.5, cents / 100.0, tf.gather(intervals, which))
        level = 0.3 + 0.6 * (uniform[:, 2] * 2.0 % 1.0)
        return 2.0 ** (semitones / 12.0), tf.where(uniform[:, 0] < self.layer, level, tf.zeros_like(level))

    def apply(
        self,
        excerpts: Waves,
        uniform: tf.Tensor,
        noise: Waves,
        sample_rate: int,
        filter_db: Callable[[tf.Tensor], tf.Tensor] | None = None,
    ) -> Waves:
        """Apply the effects.

        Args:
            excerpts: (num, time) float32.
            uniform: (num, NUM_UNIFORM) in [0, 1).
            noise: (num, any time up to the excerpts') of unit variance, the reverberation's.
            sample_rate: Hz.
            filter_db: a further filter's gains in dB, (num, bin), at logarithms (bin,) of
                frequencies in Hz to base 2.

        Returns:
            (num, time) float32, at any level.
        """
        column = tf.cast(uniform, tf.float32)[..., tf.newaxis]
        level = tf.sqrt(tf.reduce_mean(excerpts**2, axis=-1, keepdims=True)) + _SMALL
        unit = excerpts / level
        drive = 0.1 * 30.0 ** column[:, 1]
        unit = tf.where(column[:, 0] < self.saturation, tf.tanh(drive * unit) / drive, unit)
        unit = tf.where(column[:, 2] < self.compression, compressed(unit, 0.7 * column[:, 3]), unit)
        length, tail = unit.shape[-1], noise.shape[-1]
        points = 2 ** math.ceil(math.log2(length + tail))
        octave = octaves(points, sample_rate)
        gain = self._equaliser_db(octave, column[:, 4:])
        if filter_db is not None:
            gain += filter_db(octave)
        return self._filtered(unit, column[:, 4:], noise, sample_rate, gain) * level

    def _filtered(self, unit: Waves, column: tf.Tensor, noise: Waves, sample_rate: int, gain: tf.Tensor) -> Waves:
        """Apply gains in dB (num, bin), band limit and reverberation in one product of spectra."""
        length, tail = unit.shape[-1], noise.shape[-1]
        points = 2 * (gain.shape[-1] - 1)
        octave = octaves(points, sample_rate)
        limit = band_limit_db(octave, column[:, 6], sample_rate)
        gain += tf.where(column[:, 5] < self.band_limit, limit, tf.zeros_like(limit))
        decay = 0.1 * 20.0 ** column[:, 8]
        wet = 10.0 ** (-(6.0 + 19.0 * column[:, 9]) / 20.0)
        time = tf.range(tail, dtype=tf.float32) / sample_rate
        response = noise * tf.exp(-math.log(1000.0) * time / decay)
        response *= wet / (tf.norm(response, axis=-1, keepdims=True) + _SMALL)
        response = tf.where(column[:, 7] < self.reverberation, response, tf.zeros_like(response))
        system = tf.cast(10.0 ** (gain / 20.0), tf.complex64) * (1.0 + tf.signal.rfft(response, [points]))
        found = tf.signal.irfft(tf.signal.rfft(unit, [points]) * system, [points])[:, :length]
        return tf.ensure_shape(found, unit.shape)

    def _equaliser_db(self, octave: tf.Tensor, column: tf.Tensor) -> tf.Tensor:
        """Return the gains of shelves and tilt in dB: (num, bin)."""
        low = math.log2(LOW_CORNERS[0]) + math.log2(LOW_CORNERS[1] / LOW_CORNERS[0]) * column[:, 0]
        high = math.log2(HIGH_CORNERS[0]) + math.log2(HIGH_CORNERS[1] / HIGH_CORNERS[0]) * column[:, 1]
        shelves = self.shelf_db * (2.0 * column[:, 2] - 1.0) * tf.sigmoid(4.0 * (low - octave))
        shelves += 2.0 / 3.0 * self.shelf_db * (2.0 * column[:, 3] - 1.0) * tf.sigmoid(4.0 * (octave - high))
        return shelves + self.tilt_db * (2.0 * column[:, 4] - 1.0) * (octave - math.log2(500.0))


def octaves(points: int, sample_rate: int) -> tf.Tensor:
    """Return the logarithms to base 2 of the frequencies in Hz of a real transform, 10 Hz at least: (bin,) float32."""
    frequency = np.arange(points // 2 + 1) * sample_rate / points
    return tf.constant(np.log2(np.maximum(frequency, 10.0)), tf.float32)


def band_limit_db(octave: tf.Tensor, uniform: tf.Tensor, sample_rate: int) -> tf.Tensor:
    """Return the gains of a steep low-pass in dB, down to -80.

    Args:
        octave: (bin,), logarithms of frequencies in Hz to base 2.
        uniform: (num, 1) in [0, 1); the corner is log-uniform from 2 kHz to half the sample rate.
        sample_rate: Hz.

    Returns:
        (num, bin).
    """
    corner = math.log2(LOWEST_LIMIT) + math.log2(max(0.5 * sample_rate / LOWEST_LIMIT, 1.0)) * uniform
    return -80.0 * tf.sigmoid(80.0 * (octave - corner))


def compressed(unit: Waves, strength: tf.Tensor) -> Waves:
    """Compress excerpts of unit power by a power of their short-time level.

    Args:
        unit: (num, time).
        strength: (num, 1), 0 for none, 1 for a constant level.

    Returns:
        (num, time).
    """
    length = unit.shape[-1]
    more = -length % _FRAME
    frames = tf.reshape(tf.pad(unit, [[0, 0], [0, more]]), [-1, (length + more) // _FRAME, _FRAME])
    power = tf.reduce_mean(frames**2, axis=-1)[..., tf.newaxis, tf.newaxis]
    gain = (power + 1e-3) ** (-0.5 * strength[..., tf.newaxis, tf.newaxis])
    gain = tf.image.resize(gain, [length + more, 1])[:, :length, 0, 0]
    return unit * gain
