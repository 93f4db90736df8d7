"""Leakage: amplitudes are found again, and what is no source counts as such."""

from __future__ import annotations

import numpy as np

from benchmarks.quality.leakage import shares


def test_shares_of_known_sums() -> None:
    random = np.random.default_rng(0)
    sources, unknown = random.normal(size=(2, 50000)), random.normal(size=50000)
    stems = np.stack([0.9 * sources[0] + 0.2 * sources[1], 0.1 * sources[0] + 0.8 * sources[1] + unknown])
    amplitudes, rest = shares(stems, sources)
    np.testing.assert_allclose(amplitudes, [[0.9, 0.1], [0.2, 0.8]], atol=0.02)
    np.testing.assert_allclose(rest, [0.0, 1.0 / 1.65], atol=0.02)
