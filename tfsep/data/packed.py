"""Packed recordings: all recordings of one source in one array, from which excerpts are read at any position and speed.

Samples are kept as int16 with one scale for each recording: half the memory of float32, and a
signal-to-noise ratio of about 98 dB below the peak of the recording. Reading is a gather, so it
runs in a graph and its cost does not depend on the position.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfsep.audio import files
from tfsep.audio.resample import resample
from tfsep.errors import JobError

CHANNELS = ("mean", "one")
_SILENT = 1e-4
_BLOCK = 16
_LOG = logging.getLogger(__name__)

#: int16 samples (channels, time) and the scale that makes them float samples.
Recording = tuple[np.ndarray, float]


def sound_headers(paths: Iterable[Path]) -> bool:
    """Return whether the headers of files can be read; log the first that cannot as an error.

    Data sets leave such files out, and check all headers before they read any samples.
    """
    try:
        for path in paths:
            files.info(path)
    except JobError as error:
        _LOG.error("left out of the data: %s", error)
        return False
    return True


def read_recording(path: Path, sample_rate: int, channels: str = "mean") -> np.ndarray:
    """Read a whole file at ``sample_rate`` as (channels, time) float32.

    Args:
        path: the file.
        sample_rate: Hz.
        channels: "mean": their average, one channel; "one": the first two, or a single one twice.
    """
    audio, rate = files.read(path)
    audio = audio.mean(axis=0, keepdims=True) if channels == "mean" else audio[[0, min(1, len(audio) - 1)]]
    return resample(audio, rate, sample_rate)


def recording_or_none(path: Path, sample_rate: int, channels: str = "mean") -> np.ndarray | None:
    """Return :func:`read_recording` of a file; None if it is broken, which is logged as an error."""
    try:
        return read_recording(path, sample_rate, channels)
    except JobError as error:
        _LOG.error("left out of the data: %s", error)
        return None


def quantise(audio: np.ndarray, gain: float) -> Recording | None:
    """Convert (channels, time) samples to int16, scaled to give ``gain`` times them; None if that is silent."""
    peak = float(np.abs(audio).max())
    if peak * gain <= _SILENT:
        return None
    return np.round(audio / peak * 32767.0).astype(np.int16), gain * peak / 32767.0


@dataclass(frozen=True)
class PackedRecordings:
    """All recordings of one source.

    Attributes:
        samples: (time of all,) int16, the channels interleaved.
        starts: (recording,) int64, index of the first sample of each recording.
        lengths: (recording,) int64, samples of each.
        scales: (recording,) float32.
        channels: number of channels of every recording.
    """

    samples: tf.Tensor
    starts: np.ndarray
    lengths: np.ndarray
    scales: np.ndarray
    channels: int

    @functools.cached_property
    def _energy(self) -> np.ndarray:
        """Return the energy of all samples before each block of 16, unscaled: (block + 1,) float64."""
        samples = np.pad(self.samples.numpy(), (0, -len(self.samples) % _BLOCK))
        sums = np.sum(np.square(samples.reshape(-1, _BLOCK), dtype=np.float32), axis=1, dtype=np.float64)
        return np.concatenate([[0.0], np.cumsum(sums)])

    def levels(self, recording: tf.Tensor, start: tf.Tensor, reach: int) -> tf.Tensor:
        """Return the RMS of excerpts over all channels, from sums over blocks of 16 samples: (num,) float64.

        Args:
            recording: (num,) int64.
            start: (num,) float64, the first sample in that recording.
            reach: samples of an excerpt.
        """
        first = tf.cast(tf.gather(self.starts, recording), tf.float64)
        last = tf.cast(tf.gather(self.lengths, recording), tf.float64)
        ends = [first + tf.clip_by_value(at, 0.0, last) for at in (start, start + float(reach))]
        blocks = [tf.cast(tf.round(end * self.channels / _BLOCK), tf.int64) for end in ends]
        low, high = (tf.gather(tf.constant(self._energy), block) for block in blocks)
        scale = tf.cast(tf.gather(self.scales, recording), tf.float64)
        return scale * tf.sqrt((high - low) / (reach * self.channels))

    @classmethod
    def of(cls, recordings: Sequence[Recording]) -> PackedRecordings:
        """Concatenate recordings of (channels, time) int16 samples and their scales; the same array is kept once."""
        lengths = np.array([samples.shape[1] for samples, _ in recordings], np.int64)
        different = {id(samples): samples for samples, _ in recordings}
        ends = np.cumsum([samples.shape[1] for samples in different.values()])
        starts = dict(zip(different, [0, *ends[:-1].tolist()], strict=True))
        return cls(
            tf.constant(np.concatenate([samples.T.reshape(-1) for samples in different.values()])),
            np.array([starts[id(samples)] for samples, _ in recordings], np.int64),
            lengths,
            np.array([scale for _, scale in recordings], np.float32),
            recordings[0][0].shape[0],
        )

    def positions(self, uniform: tf.Tensor, reach: int, margin: int | None) -> tuple[tf.Tensor, tf.Tensor] | None:
        """Map uniform numbers in [0, 1) to positions of excerpts of ``reach`` samples.

        Args:
            uniform: (num,) float64.
            reach: samples of the recording that an excerpt spans.
            margin: None: excerpts lie within a recording, and all positions in all of them are
                equally likely. Else excerpts extend by up to so many samples beyond either end, a
                recording shorter than an excerpt lies in it whole, and the probability of a
                recording is proportional to its length.

        Returns:
            The recording and the first sample in it (may be negative), both (num,), int64 and
            float64; None if no recording is long enough.
        """
        low, high = self._range(reach, margin)
        weights = high if margin is None else self.lengths
        if not weights.any():
            return None
        ends = tf.constant(np.cumsum(weights), tf.float64)
        position = uniform * ends[-1]
        recording = tf.searchsorted(ends, position, side="right", out_type=tf.int64)
        offset = position - tf.gather(ends - weights.astype(np.float64), recording)
        stretch = (high - low) / np.maximum(weights, 1)
        start = tf.floor(offset * tf.gather(tf.constant(stretch), recording)) + tf.gather(low * 1.0, recording)
        return recording, start

    def starts_in(self, recording: tf.Tensor, uniform: tf.Tensor, reach: int, margin: int | None) -> tf.Tensor:
        """Return the first samples of excerpts of given recordings, (num,) float64, as in :meth:`positions`.

        Without a margin a recording that is too short is read from its first sample and followed by
        silence.
        """
        low, high = (tf.gather(tf.constant(end * 1.0), recording) for end in self._range(reach, margin))
        return tf.floor(low + uniform * (high - low))

    def _range(self, reach: int, margin: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Return the first and last position, both (recording,), at which an excerpt of each recording may begin."""
        spare, slack = self.lengths - reach, margin or 0
        low = np.zeros_like(spare) if margin is None else np.minimum(spare, 0)
        return low - slack, np.maximum(spare, 0) + slack

    def read(
        self, recording: tf.Tensor, start: tf.Tensor, speed: tf.Tensor, length: int, channel: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Read excerpts: samples ``speed`` apart by linear interpolation, scaled; silence outside a recording.

        Args:
            recording: (num,) int64.
            start: (num,) float64, whole numbers: the first sample, in that recording.
            speed: (num,) float64, samples of the recording for one of the excerpt.
            length: samples of an excerpt.
            channel: (num,) int64, which channel of each; None: the first.

        Returns:
            (num, length) float32.
        """
        position = tf.range(length, dtype=tf.float64) * speed[:, tf.newaxis]
        whole = tf.floor(position)
        index = tf.cast(start[:, tf.newaxis] + whole, tf.int64)
        weight = tf.cast(position - whole, tf.float32)
        which = (recording, tf.zeros_like(recording) if channel is None else channel)
        before, after = self._sample(index, *which), self._sample(index + 1, *which)
        return (before + weight * (after - before)) * tf.gather(self.scales, recording)[:, tf.newaxis]

    def _sample(self, index: tf.Tensor, recording: tf.Tensor, channel: tf.Tensor) -> tf.Tensor:
        """Gather samples (num, time) by their index in the recording, unscaled; 0 outside it."""
        last = tf.gather(self.lengths, recording)[:, tf.newaxis] - 1
        inside = tf.clip_by_value(index, 0, last)
        flat = (tf.gather(self.starts, recording)[:, tf.newaxis] + inside) * self.channels + channel[:, tf.newaxis]
        return tf.where(inside == index, tf.cast(tf.gather(self.samples, flat), tf.float32), 0.0)
