"""All sources as one: every excerpt is that of a source, all are equally frequent, and a seed decides which."""

from __future__ import annotations

import numpy as np

from tfsep.data.pooled import PooledData
from tfsep.data.toy import ToyData


def test_every_excerpt_is_of_some_source() -> None:
    toy = ToyData(sources=("sine", "square"))
    pooled = PooledData(toy)
    assert (pooled.sources, pooled.sample_rate, pooled.mixing_gains) == (("background",), toy.sample_rate, (1.0,))
    excerpts = pooled.draw("background", 64, 128, (3, 5)).numpy()
    own = np.stack([toy.draw(source, 64, 128, (3, 5)).numpy() for source in toy.sources])
    same = np.abs(own - excerpts).max(axis=2) == 0.0
    assert same.any(axis=0).all() and 16 < same[0].sum() < 48
    np.testing.assert_array_equal(pooled.draw("background", 64, 128, (3, 5)), excerpts)
    assert np.abs(pooled.draw("background", 64, 128, (3, 6)).numpy() - excerpts).max() > 0.1
