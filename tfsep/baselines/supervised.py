"""The supervised baseline: the same network, trained on paired sources (stems of one song at one time).

tfsep never needs such pairs; this shows what they would add. The toy generator draws the sources of
a mixture independently, so paired and unpaired sources have the same distribution. In songs the
stems of a track share key, tempo and voices, and a supervised separator is trained on them as they
were played.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfsep.axes import Seed, Sources
from tfsep.data import pipeline
from tfsep.data.pipeline import SourceData
from tfsep.data.stems import StemsData
from tfsep.data.toy import ToyData
from tfsep.errors import InputError


@dataclass(frozen=True)
class AlignedStems(StemsData):
    """Stems that can also be drawn together, at one place of one track for all sources; a missing stem is silence.

    The settings are those of :class:`tfsep.data.stems.StemsData`, without ``offset``, ``channels``,
    ``filter_db`` and ``same_track``. Gain, polarity and speed of a draw are shared by its sources.
    """

    def __post_init__(self) -> None:
        """Read all tracks.

        Raises:
            InputError: as for stems, and for changes that would differ between the sources of a
                track.
        """
        for name, neutral in (("offset", 0.0), ("channels", "mean"), ("filter_db", 0.0)):
            if getattr(self, name) != neutral:
                raise InputError(f"{name} of aligned_stems must be {neutral!r}, got {getattr(self, name)!r}")
        if self.same_track != 0.0:
            raise InputError(
                f"same_track is for unpaired stems; aligned_stems share their track, got {self.same_track}"
            )
        super().__post_init__()

    def draw_together(self, num: int, length: int, seed: Seed) -> Sources:
        """Draw excerpts of all sources at once: (num, source, length) float32; tracks are weighted by their length.

        Raises:
            InputError: if no track is as long as an excerpt.
        """
        stems = np.array(self._stems)
        packed = [self._packed[source] for source in self.sources]
        endless = np.iinfo(np.int64).max
        each = [np.where(stems[:, k] >= 0, one.lengths[stems[:, k]], endless) for k, one in enumerate(packed)]
        lengths = np.min(each, axis=0)
        reach = math.ceil(length * self.speed) + 1
        spare = np.maximum(lengths - reach, 0)
        if not spare.any():
            raise InputError(
                f"aligned excerpts need a track of {reach / self.sample_rate:.2f} s, the longest is shorter"
            )
        table = tf.random.stateless_uniform((num, 4), tf.cast(seed, tf.int64), dtype=tf.float64, alg="philox")
        ends = tf.constant(np.cumsum(spare), tf.float64)
        position = table[:, 0] * ends[-1]
        track = tf.searchsorted(ends, position, side="right")
        start = tf.floor(position - tf.gather(ends - spare.astype(np.float64), track))
        speed, gain = self._speeds(table[:, 1]), self._gains(table[:, 2], table[:, 3])
        excerpts = []
        for k, one in enumerate(packed):
            index = tf.gather(tf.constant(np.maximum(stems[:, k], 0)), track)
            exists = tf.cast(tf.gather(tf.constant(stems[:, k] >= 0), track), tf.float32)
            excerpts.append(one.read(index, start, speed, length) * (exists * gain)[:, tf.newaxis])
        return tf.stack(excerpts, axis=1)


def pairs(data: SourceData, length: int, batch_size: int, seed: int, first_step: int = 0) -> tf.data.Dataset:
    """Return endless batches of paired sources, (batch, source, time) float32, from ``first_step`` on.

    Raises:
        InputError: for data without paired sources.
    """
    if isinstance(data, ToyData):
        return pipeline.remixes(data, length, batch_size, seed, first_step)
    if not isinstance(data, AlignedStems):
        raise InputError("paired training needs aligned_stems or toy data, whose sources can be drawn together")
    together = data.draw_together

    def draw(step: tf.Tensor) -> tf.Tensor:
        excerpts = together(batch_size, length, tf.stack([tf.constant(seed, tf.int64), step]))
        return tf.ensure_shape(excerpts, (batch_size, len(data.sources), length))

    return pipeline.each_step(draw, first_step)
