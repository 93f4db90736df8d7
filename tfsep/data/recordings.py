r"""Random excerpts of recordings with augmentation: the base of every data set of sound files.

A data set packs the recordings of each source; this module draws from them. Each draw depends on
(seed, step, source) alone:

- position: uniform over all recordings of the source, up to ``offset`` beyond their ends;
- speed: log-uniform in 1/speed..speed, pitch and tempo together, by linear interpolation;
- channel: one of the first two at random, or their average;
- band filter: a zero-phase equaliser of three bells, :math:`\sum_b g_b \exp(-\frac12 (\log_2(f/f_b) / w_b)^2)` dB;
- gain, uniform in dB, and polarity.

Sources are drawn independently, so batches of them are unpaired remixes.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from tfsep.axes import Seed, Waves
from tfsep.data.packed import CHANNELS, PackedRecordings, Recording
from tfsep.errors import InputError

LOWEST_BELL = 60.0
BELL_OCTAVES = (0.5, 2.0)
AUDIBLE = 1e-3
_BELLS = 3
_TAIL = 2048


@dataclass(frozen=True, kw_only=True)
class RecordedSources:
    """A data set of isolated sources from sound files (see :class:`tfsep.data.pipeline.SourceData`).

    Attributes:
        sources: names of the sources.
        sample_rate: Hz.
        gain_db: largest gain change in either direction.
        speed: largest factor by which an excerpt is sped up or slowed down, at least 1.
        polarity: whether the sign of half of the excerpts is flipped.
        offset: seconds by which an excerpt may begin before or end after its recording, filled with
            silence; above 0, recordings shorter than an excerpt are used too.
        channels: "mean" of all channels, or "one" of the first two, drawn for each excerpt.
        filter_db: largest gain of each bell of the band filter in either direction.
        tries: positions that are drawn until an excerpt is audible
            (an RMS above 0.001, before the band filter); if none is, the last.
    """

    sources: tuple[str, ...] = ("drums", "bass", "other", "vocals")
    sample_rate: int = 22050
    gain_db: float = 0.0
    speed: float = 1.0
    polarity: bool = True
    offset: float = 0.0
    channels: str = "mean"
    filter_db: float = 0.0
    tries: int = 1
    _packed: dict[str, PackedRecordings] = field(init=False, repr=False, compare=False, default_factory=dict)

    def _check(self, kind: str, *lists: str) -> None:
        """Refuse settings out of range; ``lists`` must be lists; ``exclude`` and ``only`` may be empty.

        Raises:
            InputError: naming the setting, its rule and its value.
        """
        for name in (*lists, "sources"):
            value = getattr(self, name)
            if isinstance(value, str) or (name not in ("exclude", "only") and not value):
                raise InputError(f"{name} of {kind} must be a list of names, got {value!r}")
        if self.speed < 1.0 or self.gain_db < 0.0:
            raise InputError(f"speed must be at least 1 and gain_db at least 0, got {self.speed} and {self.gain_db}")
        if self.offset < 0.0 or self.filter_db < 0.0:
            raise InputError(f"offset and filter_db must be at least 0, got {self.offset} and {self.filter_db}")
        if self.tries < 1:
            raise InputError(f"tries must be at least 1, got {self.tries}")
        if self.channels not in CHANNELS:
            raise InputError(f"channels must be one of {', '.join(CHANNELS)}, got {self.channels!r}")

    def _pack(self, recordings: dict[str, list[Recording]], missing: str) -> None:
        """Pack the recordings of each source, and empty ``recordings``, so that no second copy stays in memory.

        ``missing`` is the message about a source without any recording, with {} for its name.
        """
        for source in list(recordings):
            found = recordings.pop(source)
            if not found:
                raise InputError(missing.format(repr(source)))
            self._packed[source] = PackedRecordings.of(found)

    @property
    def mixing_gains(self) -> tuple[float, ...]:
        """Return gains of 1: songs are the plain sum of their stems."""
        return (1.0,) * len(self.sources)

    @property
    def _margin(self) -> int | None:
        """Return the samples by which excerpts may extend beyond their recording; None: they may not."""
        return round(self.offset * self.sample_rate) if self.offset > 0.0 else None

    def draw(self, source: str, num: int, length: int, seed: Seed) -> Waves:
        """Draw random excerpts of one source: (num, length) float32; recordings are weighted by their length.

        Raises:
            InputError: for an unknown source, or if no recording is as long as an excerpt and none
                may be shorter.
        """
        if source not in self._packed:
            raise InputError(f"source must be one of {', '.join(self.sources)}, got {source!r}")
        packed = self._packed[source]
        reach = math.ceil(length * self.speed) + 1
        table = uniform_table((num * self.tries, 4), seed, source)
        recording, start, speed = self._positions(source, table[:, 0], table[:, 1], reach, seed)
        more = uniform_table((num * self.tries, 1 + 3 * _BELLS), seed, f"{source}, more")
        channel = tf.cast(more[:, 0] * packed.channels, tf.int64)
        excerpt = packed.read(recording, start, speed, length, channel)
        excerpt *= self._gains(table[:, 2], table[:, 3])[:, tf.newaxis]
        bells = tf.reshape(more[:, 1:], (self.tries, num, _BELLS, 3))
        excerpt, bells = first_audible(tf.reshape(excerpt, (self.tries, num, length)), bells)
        return equalised(excerpt, bells, self.filter_db, self.sample_rate) if self.filter_db > 0.0 else excerpt

    def _positions(
        self, source: str, uniform: tf.Tensor, speed: tf.Tensor, reach: int, seed: Seed
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Return recording, first sample and speed of excerpts, from two columns of numbers in [0, 1)."""
        del seed
        found = self._packed[source].positions(uniform, reach, self._margin)
        if found is None:
            seconds = reach / self.sample_rate
            raise InputError(f"excerpts of {source!r} need a recording of {seconds:.2f} s, the longest is shorter")
        return *found, self._speeds(speed)

    def _speeds(self, uniform: tf.Tensor) -> tf.Tensor:
        """Map numbers in [0, 1) to speeds in 1/speed..speed, (num,) float64."""
        return tf.exp((2.0 * uniform - 1.0) * math.log(self.speed))

    def _gains(self, uniform: tf.Tensor, sign: tf.Tensor) -> tf.Tensor:
        """Map two columns of numbers in [0, 1) to signed factors, (num,) float32."""
        gain = 10.0 ** ((2.0 * uniform - 1.0) * self.gain_db / 20.0)
        return tf.cast(gain * tf.sign(sign - 0.5) if self.polarity else gain, tf.float32)


def first_audible(excerpts: tf.Tensor, others: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Choose of each column of excerpts the first with an RMS above 0.001, or the last.

    Args:
        excerpts: (try, num, time).
        others: (try, num, ...), values that belong to each excerpt.

    Returns:
        The excerpts (num, time), and the values that belong to them (num, ...).
    """
    if excerpts.shape[0] == 1:
        return excerpts[0], others[0]
    audible = tf.reduce_mean(excerpts**2, axis=-1) > AUDIBLE**2
    audible = tf.concat([audible[:-1], tf.ones_like(audible[-1:])], axis=0)
    chosen = tf.stack(
        [tf.argmax(tf.cast(audible, tf.int32), axis=0), tf.range(excerpts.shape[1], dtype=tf.int64)], axis=1
    )
    return tf.gather_nd(excerpts, chosen), tf.gather_nd(others, chosen)


def uniform_table(shape: tuple[int, int], seed: Seed, name: str) -> tf.Tensor:
    """Draw a table of float64 numbers in [0, 1), an independent one for each (seed, step) and name."""
    seed = tf.cast(tf.convert_to_tensor(seed), tf.int64)
    pair = tf.stack([seed[0] * 4294967291 + zlib.crc32(name.encode()), seed[1]])
    return tf.random.stateless_uniform(shape, pair, dtype=tf.float64, alg="philox")


def equalised(excerpts: Waves, uniform: tf.Tensor, filter_db: float, sample_rate: int) -> Waves:
    """Filter excerpts by bells drawn on the logarithmic frequency axis, with zero phase.

    Args:
        excerpts: (num, time) float32.
        uniform: (num, bell, 3) in [0, 1): centre (log-uniform, 60 Hz to 0.4 of the sample rate),
            gain (uniform within +-``filter_db``), and width (standard deviation, log-uniform, half
            an octave to two).
        filter_db: dB of one bell; where bells overlap, theirs add up.
        sample_rate: Hz.

    Returns:
        (num, time) float32.
    """
    length = excerpts.shape[1]
    fft_length = 2 ** math.ceil(math.log2(length + _TAIL))
    span = math.log2(0.4 * sample_rate / LOWEST_BELL)
    centre = math.log2(LOWEST_BELL) + span * uniform[..., 0]
    width = BELL_OCTAVES[0] * (BELL_OCTAVES[1] / BELL_OCTAVES[0]) ** uniform[..., 2]
    frequency = np.arange(fft_length // 2 + 1) * sample_rate / fft_length
    octave = tf.constant(np.log2(np.maximum(frequency, 1.0)))
    distance = (octave - centre[..., tf.newaxis]) / width[..., tf.newaxis]
    bells = (2.0 * uniform[..., 1, tf.newaxis] - 1.0) * filter_db * tf.exp(-0.5 * distance**2)
    gain = tf.cast(10.0 ** (tf.reduce_sum(bells, axis=1) / 20.0), tf.complex64)
    spectrum = tf.signal.rfft(excerpts, [fft_length]) * gain
    return tf.ensure_shape(tf.signal.irfft(spectrum, [fft_length])[:, :length], excerpts.shape)
