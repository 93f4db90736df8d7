"""All sources of a data set as one source: the training data of a prior of any sound."""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

from tfsep.axes import Seed, Waves
from tfsep.data.pipeline import SourceData


@dataclass(frozen=True)
class PooledData:
    """A data set of one source, each excerpt of which is of a random source of another data set, all equally likely.

    Attributes:
        data: isolated sources.
        name: of the one source; the prior test takes the prior of "background" as the denominator
            of a ratio.
    """

    data: SourceData
    name: str = "background"

    @property
    def sources(self) -> tuple[str, ...]:
        """Return the one source."""
        return (self.name,)

    @property
    def sample_rate(self) -> int:
        """Return the sample rate in Hz."""
        return self.data.sample_rate

    @property
    def mixing_gains(self) -> tuple[float, ...]:
        """Return 1: nothing is mixed."""
        return (1.0,)

    def draw(self, source: str, num: int, length: int, seed: Seed) -> Waves:
        """Draw ``num`` excerpts, (num, length) float32, from two integers, in or out of a graph."""
        del source
        seed = tf.cast(seed, tf.int64)
        each = tf.stack([self.data.draw(name, num, length, seed) for name in self.data.sources])
        folded = tf.random.experimental.stateless_fold_in(tf.cast(seed, tf.int32), 7)
        whose = tf.random.stateless_uniform([num], folded, 0, len(self.data.sources), tf.int32, alg="philox")
        return tf.gather_nd(each, tf.stack([whose, tf.range(num)], axis=1))
