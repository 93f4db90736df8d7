"""All sources of a data set as one: what a prior of any sound at all is trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from tfsep.data.pipeline import SourceData


@dataclass(frozen=True)
class PooledData:
    """A data set of one source, each of whose cuts is one of another data set's sources, all alike likely.

    Attributes:
        data: isolated sources.
        name: of the one source; the prior test takes the prior of "background" for the denominator of a ratio.
    """

    data: SourceData
    name: str = "background"

    @property
    def sources(self) -> tuple[str, ...]:
        """The one source."""
        return (self.name,)

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self.data.sample_rate

    @property
    def mixing_gains(self) -> tuple[float, ...]:
        """One: nothing is mixed."""
        return (1.0,)

    def draw(self, source: str, num: int, length: int, seed: Any) -> tf.Tensor:
        """Draw ``num`` cuts of ``length`` samples, (num, time) float32, from two integers; graph-safe."""
        del source
        seed = tf.cast(seed, tf.int64)
        each = tf.stack([self.data.draw(name, num, length, seed) for name in self.data.sources])
        folded = tf.random.experimental.stateless_fold_in(tf.cast(seed, tf.int32), 7)
        whose = tf.random.stateless_uniform([num], folded, 0, len(self.data.sources), tf.int32, alg="philox")
        return tf.gather_nd(each, tf.stack([whose, tf.range(num)], axis=1))
