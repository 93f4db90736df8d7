"""SI-SDR of sound in blocks, against that of whole arrays."""

from __future__ import annotations

import numpy as np
import pytest

from tests.signals import quiet_noise
from tfsep.metrics.si_sdr import si_sdr, si_sdri
from tfsep.metrics.streaming_si_sdr import LIMIT_DB, StreamingSiSdr


def test_blocks_give_the_metric_of_the_whole() -> None:
    reference, mixture, estimate = (
        quiet_noise(seed=1),
        quiet_noise(seed=2),
        quiet_noise(seed=1) + 0.3 * quiet_noise(seed=3),
    )
    meter = StreamingSiSdr(2)
    for start, block in ((start, estimate[:, start : start + 77]) for start in range(0, 1000, 77)):
        part = slice(start, start + block.shape[1])
        meter.update(block, mixture[:, part], reference[:, part])
    found = meter.result()
    assert found is not None
    assert found.si_sdr == pytest.approx(si_sdr(estimate, reference).mean(), abs=1e-6)
    assert found.si_sdri == pytest.approx(si_sdri(estimate, reference, mixture).mean(), abs=1e-6)


def test_values_at_their_limits() -> None:
    sound, silence = quiet_noise(), np.zeros((2, 1000), np.float32)

    def limited(estimate: np.ndarray, reference: np.ndarray) -> float | None:
        meter = StreamingSiSdr(2)
        meter.update(estimate, sound, reference)
        found = meter.result()
        return None if found is None else found.si_sdr

    assert limited(sound, silence) is None
    assert limited(sound, sound) == LIMIT_DB
    assert limited(silence, sound) == -LIMIT_DB
    half = np.stack([sound[0], silence[0]])
    assert limited(half, half) == LIMIT_DB, "a channel whose reference is silent does not count"
    assert limited(np.stack([sound[0], sound[0]]), sound[:1]) == LIMIT_DB, "a mono reference holds for all channels"
