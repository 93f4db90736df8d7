"""The spread of samples per bin."""

from __future__ import annotations

import numpy as np
import pytest

from tfsep.errors import InputError
from tfsep.posteriors.uncertainty import spread_over_bins

RNG = np.random.default_rng(0)
SAMPLES = RNG.normal(size=(5, 2, 3, 32)).astype(np.float32)


def test_the_spread_over_bins_finds_the_bin_that_differs() -> None:
    """Samples that differ in the phase of one tone only; white noise spreads over all bins by its window's energy."""
    phase = RNG.uniform(0, 2 * np.pi, (400, 1, 1, 1))
    tone = np.sin(2 * np.pi * 4 * np.arange(64) / 16 + phase)
    spread = spread_over_bins(np.broadcast_to(tone, (400, 2, 3, 64)), 16, 8).numpy()
    assert spread.shape[:2] == (2, 3) and spread.shape[3] == 9
    middle = spread[0, 0, 4]
    assert middle.argmax() == 4 and middle[4] == pytest.approx(4.0, rel=0.05) and middle[0] < 0.1
    white = spread_over_bins(RNG.normal(size=(4000, 1, 1, 64)), 16, 8).numpy()[0, 0, 4]
    np.testing.assert_allclose(white, np.sqrt(6.0), rtol=0.05)


def test_one_sample_has_no_spread() -> None:
    with pytest.raises(InputError, match="needs at least two of them, got 1"):
        spread_over_bins(SAMPLES[:1], 16, 8)
