"""The supervised baseline: the same network, trained on sources that belong together.

tfsep never needs such pairs; this is what they would add. The toy generator draws the sources of a mixture
independently, so its true pairs have the law of the unpaired ones. In songs the stems of a track share key, tempo and
voices, and a supervised separator sees them as they were played.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tfsep.data import pipeline
from tfsep.data.pipeline import SourceData
from tfsep.data.stems import StemsData
from tfsep.data.toy import ToyData
from tfsep.errors import InputError


@dataclass(frozen=True)
class AlignedStems(StemsData):
    """Stems that can also be drawn together, one place of one track for all sources; a missing stem is silence.

    Attributes:
        roots, split, sources, sample_rate, exclude, gain_db, speed, polarity: as of
            :class:`tfsep.data.stems.StemsData`. Gain, polarity and speed of a draw are shared by its sources.
    """

    def __post_init__(self) -> None:
        """Read all tracks.

        Raises:
            InputError: as of stems, and for changes that would not be the same for all sources of a track.
        """
        for name, neutral in (("offset", 0.0), ("channels", "mean"), ("filter_db", 0.0)):
            if getattr(self, name) != neutral:
                raise InputError(f"{name} of aligned_stems must be {neutral!r}, got {getattr(self, name)!r}")
        if self.same_track != 0.0:
            raise InputError(f"same_track is for unpaired cuts; aligned_stems share their track, got {self.same_track}")
        super().__post_init__()

    def draw_together(self, num: int, length: int, seed: Any) -> tf.Tensor:
        """Draw cuts of whole tracks: (num, source, length) float32; tracks weigh as much as they last.

        Raises:
            InputError: if no track is as long as a cut.
        """
        rows = np.array(self._rows)
        reels = [self._reels[source] for source in self.sources]
        endless = np.iinfo(np.int64).max
        each = [np.where(rows[:, k] >= 0, reel.lengths[rows[:, k]], endless) for k, reel in enumerate(reels)]
        lengths = np.min(each, axis=0)
        reach = math.ceil(length * self.speed) + 1
        room = np.maximum(lengths - reach, 0)
        if not room.any():
            raise InputError(f"aligned cuts need a track of {reach / self.sample_rate:.2f} s, the longest is shorter")
        table = tf.random.stateless_uniform((num, 4), tf.cast(seed, tf.int64), dtype=tf.float64, alg="philox")
        ends = tf.constant(np.cumsum(room), tf.float64)
        place = table[:, 0] * ends[-1]
        track = tf.searchsorted(ends, place, side="right")
        start = tf.floor(place - tf.gather(ends - room.astype(np.float64), track))
        speed, gain = self._speeds(table[:, 1]), self._gains(table[:, 2], table[:, 3])
        cuts = []
        for k, reel in enumerate(reels):
            index = tf.gather(tf.constant(np.maximum(rows[:, k], 0)), track)
            there = tf.cast(tf.gather(tf.constant(rows[:, k] >= 0), track), tf.float32)
            cuts.append(reel.read(index, start, speed, length) * (there * gain)[:, tf.newaxis])
        return tf.stack(cuts, axis=1)


def pairs(data: SourceData, length: int, batch_size: int, seed: int, first_step: int = 0) -> tf.data.Dataset:
    """Batches of sources that belong together, (batch, source, time) float32, from ``first_step`` on without end.

    Raises:
        InputError: for data that keep no sources together.
    """
    if isinstance(data, ToyData):
        return pipeline.remixes(data, length, batch_size, seed, first_step)
    if not isinstance(data, AlignedStems):
        raise InputError("paired training needs aligned_stems or toy data, whose sources belong together")
    together = data.draw_together

    def draw(step: tf.Tensor) -> tf.Tensor:
        cuts = together(batch_size, length, tf.stack([tf.constant(seed, tf.int64), step]))
        return tf.ensure_shape(cuts, (batch_size, len(data.sources), length))

    return pipeline.each_step(draw, first_step)
