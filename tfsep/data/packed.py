"""Recordings of one source behind each other, from which cuts are read at any place and speed.

Samples are kept as int16 with one scale a recording: half the memory of float32, and a signal-to-noise ratio of about
98 dB below the recording's own peak. Reading is a gather, so it runs in a graph and costs the same anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfsep.audio import files
from tfsep.audio.resample import resample

SUFFIXES = (".flac", ".wav", ".ogg", ".mp3")
CHANNELS = ("mean", "one")
_SILENT = 1e-4

Recording = tuple[np.ndarray, float]


def read_recording(path: Path, sample_rate: int, channels: str = "mean") -> np.ndarray:
    """A whole file at ``sample_rate`` as (channels, time) float32.

    Args:
        path: the file.
        sample_rate: Hz.
        channels: "mean": their average, one channel; "one": the first two as they are, a single one twice.
    """
    audio, rate = files.read(path)
    audio = audio.mean(axis=0, keepdims=True) if channels == "mean" else audio[[0, min(1, len(audio) - 1)]]
    return resample(audio, rate, sample_rate)


def packed(audio: np.ndarray, level: float) -> Recording | None:
    """(channels, time) samples as int16 with the scale that gives ``level`` times them back; None if that is silent."""
    peak = float(np.abs(audio).max())
    if peak * level <= _SILENT:
        return None
    return np.round(audio / peak * 32767.0).astype(np.int16), level * peak / 32767.0


@dataclass(frozen=True)
class Reel:
    """All recordings of one source.

    Attributes:
        samples: (time of all,) int16, the channels of a sample side by side.
        starts: (recording,) int64, place of each recording's first sample.
        lengths: (recording,) int64, samples of each.
        scales: (recording,) float32.
        channels: number of channels of every recording.
    """

    samples: tf.Tensor
    starts: np.ndarray
    lengths: np.ndarray
    scales: np.ndarray
    channels: int

    @classmethod
    def of(cls, recordings: Sequence[Recording]) -> Reel:
        """Splice recordings of (channels, time) int16 samples, each with its scale; the same array is kept once."""
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

    def places(self, chance: tf.Tensor, reach: int, margin: int | None) -> tuple[tf.Tensor, tf.Tensor] | None:
        """Turn numbers in [0, 1) into places of cuts that reach ``reach`` samples.

        Args:
            chance: (num,) float64.
            reach: samples.
            margin: None: cuts lie within a recording, and every place in any of them is as likely. Else cuts go up to
                so many samples beyond either end, recordings shorter than a cut lie in it whole, and a recording is as
                likely as it is long.

        Returns:
            The recording and the first sample in it (may be negative), both (num,), int64 and float64; None if no
            recording is long enough.
        """
        low, high = self._range(reach, margin)
        weights = high if margin is None else self.lengths
        if not weights.any():
            return None
        ends = tf.constant(np.cumsum(weights), tf.float64)
        place = chance * ends[-1]
        recording = tf.searchsorted(ends, place, side="right", out_type=tf.int64)
        within = place - tf.gather(ends - weights.astype(np.float64), recording)
        stretch = (high - low) / np.maximum(weights, 1)
        start = tf.floor(within * tf.gather(tf.constant(stretch), recording)) + tf.gather(low * 1.0, recording)
        return recording, start

    def within(self, recording: tf.Tensor, chance: tf.Tensor, reach: int, margin: int | None) -> tf.Tensor:
        """First samples of cuts of given recordings, (num,) float64, as of :meth:`places`.

        Without a margin a recording that is too short is read from its first sample and followed by silence.
        """
        low, high = (tf.gather(tf.constant(end * 1.0), recording) for end in self._range(reach, margin))
        return tf.floor(low + chance * (high - low))

    def _range(self, reach: int, margin: int | None) -> tuple[np.ndarray, np.ndarray]:
        """The first and last place, both (recording,), where a cut of each recording may begin."""
        room, slack = self.lengths - reach, margin or 0
        low = np.zeros_like(room) if margin is None else np.minimum(room, 0)
        return low - slack, np.maximum(room, 0) + slack

    def read(
        self, recording: tf.Tensor, start: tf.Tensor, speed: tf.Tensor, length: int, channel: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Samples ``speed`` apart, between neighbours by linear interpolation, scaled; silence outside a recording.

        Args:
            recording: (num,) int64.
            start: (num,) float64, whole numbers: the first sample, in that recording.
            speed: (num,) float64, samples of the recording to one of the cut.
            length: samples of a cut.
            channel: (num,) int64, which channel of each; None: the first.

        Returns:
            (num, length) float32.
        """
        position = tf.range(length, dtype=tf.float64) * speed[:, tf.newaxis]
        whole = tf.floor(position)
        index = tf.cast(start[:, tf.newaxis] + whole, tf.int64)
        weight = tf.cast(position - whole, tf.float32)
        place = (recording, tf.zeros_like(recording) if channel is None else channel)
        before, after = self._sample(index, *place), self._sample(index + 1, *place)
        return (before + weight * (after - before)) * tf.gather(self.scales, recording)[:, tf.newaxis]

    def _sample(self, index: tf.Tensor, recording: tf.Tensor, channel: tf.Tensor) -> tf.Tensor:
        last = tf.gather(self.lengths, recording)[:, tf.newaxis] - 1
        inside = tf.clip_by_value(index, 0, last)
        place = (tf.gather(self.starts, recording)[:, tf.newaxis] + inside) * self.channels + channel[:, tf.newaxis]
        return tf.where(inside == index, tf.cast(tf.gather(self.samples, place), tf.float32), 0.0)
