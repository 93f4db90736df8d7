r"""Random excerpts of recordings with augmentation: the base of every data set of sound files.

A data set packs the recordings of each source; this module draws from them. Each draw depends on
(seed, step, source) alone:

- position: uniform over all recordings of the source, up to ``offset`` beyond their ends;
- speed: log-uniform in 1/speed..speed, pitch and tempo together, by linear interpolation;
- channel: one of the first two at random, or their average;
- band filter: a zero-phase equaliser of three bells, :math:`\sum_b g_b \exp(-\frac12 (\log_2(f/f_b) / w_b)^2)` dB;
- effects (effects.py), and a common level of the excerpts;
- gain, uniform in dB, and polarity.

Sources are drawn independently, so batches of them are unpaired remixes. What a mixture has in
common, absent sources and a band limit, is drawn once for all of its sources.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, field

import tensorflow as tf

from tfsep.audio.front_end import rms
from tfsep.axes import Seed, Waves
from tfsep.data.effects import NUM_UNIFORM, Effects, band_limit_db, octaves
from tfsep.data.packed import CHANNELS, PackedRecordings, Recording
from tfsep.errors import InputError

LOWEST_BELL = 60.0
BELL_OCTAVES = (0.5, 2.0)
AUDIBLE = 1e-3
_BELLS = 3
_TAIL = 2048
_QUIET = 1e-5
_ABSENT = 0.4
_LEAST_LEFT = 0.05


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
        tries: positions that are drawn until an excerpt is audible; if none is, the last.
        audible: RMS of an audible excerpt before all effects, above 0.
        level: RMS of the excerpts before ``gain_db``; None leaves their own.
        effects: what they go through; None is nothing.
        absent: share of mixtures in which each source is silent with a chance of 0.4, but for one.
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
    audible: float = AUDIBLE
    level: float | None = None
    effects: Effects | None = None
    absent: float = 0.0
    _packed: dict[str, PackedRecordings] = field(init=False, repr=False, compare=False, default_factory=dict)

    def _check(self, kind: str, *lists: str) -> None:
        """Refuse settings out of range; ``lists`` must be lists; ``exclude``, ``only`` and ``sounds`` may be empty.

        Raises:
            InputError: naming the setting, its rule and its value.
        """
        for name in (*lists, "sources"):
            value = getattr(self, name)
            if isinstance(value, str) or (name not in ("exclude", "only", "sounds") and not value):
                raise InputError(f"{name} of {kind} must be a list of names, got {value!r}")
        if self.speed < 1.0 or self.gain_db < 0.0:
            raise InputError(f"speed must be at least 1 and gain_db at least 0, got {self.speed} and {self.gain_db}")
        if self.offset < 0.0 or self.filter_db < 0.0:
            raise InputError(f"offset and filter_db must be at least 0, got {self.offset} and {self.filter_db}")
        if self.tries < 1:
            raise InputError(f"tries must be at least 1, got {self.tries}")
        if not self.audible > 0.0 or (self.level is not None and not self.level > 0.0):
            raise InputError(f"audible and level must be above 0, got {self.audible} and {self.level}")
        if not 0.0 <= self.absent <= 1.0:
            raise InputError(f"absent must be a share from 0 to 1, got {self.absent}")
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
        if self.tries > 1:
            levels = tf.reshape(packed.levels(recording, start, reach), (self.tries, num))
            chosen = first_audible(levels, self.audible) * num + tf.range(num, dtype=tf.int64)
            recording, start, speed, table, more = (
                tf.gather(each, chosen) for each in (recording, start, speed, table, more)
            )
        channel = tf.cast(more[:, 0] * packed.channels, tf.int64)
        excerpt = packed.read(recording, start, speed, length, channel)
        if self.effects is not None:
            numbers = uniform_table((num, NUM_UNIFORM), seed, f"{source}, effects")
            ratio, second = self.effects.ratio(numbers[:, -3:])
            voice = packed.read(recording, start, speed * ratio, length, channel)
            excerpt += tf.cast(second, tf.float32)[:, tf.newaxis] * voice
        before = rms(excerpt)
        bells = tf.reshape(more[:, 1:], (num, _BELLS, 3))
        shared = uniform_table((num, 3 + len(self.sources)), seed, "the mixture")
        if self.effects is not None:

            def filter_db(octave: tf.Tensor) -> tf.Tensor:
                return bells_db(octave, bells, self.filter_db) + self._common_db(octave, shared)

            noise = tf.random.stateless_normal((num, length), table_seed(seed, f"{source}, noise"), alg="philox")
            excerpt = self.effects.apply(excerpt, numbers, noise, self.sample_rate, filter_db)
        elif self.filter_db > 0.0:
            excerpt = equalised(excerpt, bells, self.filter_db, self.sample_rate)
        if self.level is not None:
            excerpt *= self.level / tf.maximum(tf.maximum(rms(excerpt), _LEAST_LEFT * before), _QUIET)
        excerpt = self._present(source, excerpt, shared)
        return excerpt * self._gains(table[:, 2], table[:, 3])[:, tf.newaxis]

    def _common_db(self, octave: tf.Tensor, shared: tf.Tensor) -> tf.Tensor:
        """Return the gains in dB (num, bin) of the band limits that all sources of a mixture have in common."""
        assert self.effects is not None
        column = tf.cast(shared, tf.float32)
        limit = band_limit_db(octave, column[:, 1:2], self.sample_rate)
        return tf.where(column[:, :1] < self.effects.common_limit, limit, tf.zeros_like(limit))

    def _present(self, source: str, excerpts: Waves, shared: tf.Tensor) -> Waves:
        """Silence the excerpts of a source in the mixtures from which it is absent."""
        if self.absent == 0.0:
            return excerpts
        chances = shared[:, 3:]
        own = chances[:, self.sources.index(source)]
        kept = (own >= _ABSENT) | (own >= tf.reduce_max(chances, axis=1)) | (shared[:, 2] >= self.absent)
        return tf.where(kept[:, tf.newaxis], excerpts, tf.zeros_like(excerpts))

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


def first_audible(levels: tf.Tensor, audible: float) -> tf.Tensor:
    """Choose of each column of excerpts the first with at least a level, or the last: (try, num) -> (num,) int64."""
    loud = tf.concat([levels[:-1] >= audible, tf.ones_like(levels[-1:], tf.bool)], axis=0)
    return tf.argmax(tf.cast(loud, tf.int32), axis=0)


def uniform_table(shape: tuple[int, int], seed: Seed, name: str) -> tf.Tensor:
    """Draw a table of float64 numbers in [0, 1), an independent one for each (seed, step) and name."""
    return tf.random.stateless_uniform(shape, table_seed(seed, name), dtype=tf.float64, alg="philox")


def table_seed(seed: Seed, name: str) -> tf.Tensor:
    """Return two integers for random numbers of a name, (2,) int64."""
    seed = tf.cast(tf.convert_to_tensor(seed), tf.int64)
    return tf.stack([seed[0] * 4294967291 + zlib.crc32(name.encode()), seed[1]])


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
    points = 2 ** math.ceil(math.log2(length + _TAIL))
    gain = tf.cast(10.0 ** (bells_db(octaves(points, sample_rate), uniform, filter_db) / 20.0), tf.complex64)
    spectrum = tf.signal.rfft(excerpts, [points]) * gain
    return tf.ensure_shape(tf.signal.irfft(spectrum, [points])[:, :length], excerpts.shape)


def bells_db(octave: tf.Tensor, uniform: tf.Tensor, filter_db: float) -> tf.Tensor:
    """Return the gains in dB (num, bin) of bells at logarithms of frequencies (bin,); see :func:`equalised`."""
    uniform = tf.cast(uniform, octave.dtype)
    centre = math.log2(LOWEST_BELL) + (octave[-1] + math.log2(0.8) - math.log2(LOWEST_BELL)) * uniform[..., 0]
    width = BELL_OCTAVES[0] * (BELL_OCTAVES[1] / BELL_OCTAVES[0]) ** uniform[..., 2]
    distance = (octave - centre[..., tf.newaxis]) / width[..., tf.newaxis]
    bells = (2.0 * uniform[..., 1, tf.newaxis] - 1.0) * filter_db * tf.exp(-0.5 * distance**2)
    return tf.reduce_sum(bells, axis=1)
