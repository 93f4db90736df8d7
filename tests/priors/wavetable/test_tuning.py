"""Pitches that several sounds share are found together, finer than by any one of them."""

from __future__ import annotations

import numpy as np
import pytest

from tfsep import priors
from tfsep.data import toy
from tfsep.priors.wavetable.tuning import tune

LENGTH = 2048
TRUE = np.array([411.37, 622.91])


@pytest.mark.parametrize("kind", ["square", "sine"])
def test_a_pitch_that_is_off_is_put_right(kind: str) -> None:
    rng = np.random.default_rng(0)
    which, phase = np.arange(24) % 2, rng.uniform(size=24)
    amplitude = rng.uniform(0.8, 1.0, 24)
    waves = toy.render(kind, TRUE[which], phase, amplitude, LENGTH, 16000).numpy().astype(np.float32)
    prior = priors.build("wavetable", length=LENGTH, num_pitches=2, num_phases=32, table_size=8192)
    prior.table.assign(toy.render(kind, np.ones(1), np.zeros(1), np.ones(1), 8192, 8192).numpy()[0])
    prior.frequency.assign(TRUE + [0.02, -0.02])
    middle = phase + TRUE[which] * (LENGTH // 2) / 16000
    notes = np.stack([prior.frequency.numpy()[which], middle % 1.0, np.zeros(24)], -1)
    tune(prior, waves, notes, 0.02)
    np.testing.assert_allclose(prior.frequency, TRUE, atol=0.004)
