"""Dictionaries of spectra: sources of different notes are separated, and estimates sum to the mixture."""

from __future__ import annotations

import numpy as np
import pytest

from tfsep.baselines.factorisation import NmfDictionaries
from tfsep.errors import InputError
from tfsep.metrics import si_sdr


def tones(hertz: tuple[float, ...], num: int, time: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    chosen = rng.choice(hertz, size=(num, 1))
    return np.sin(2 * np.pi * (chosen * np.arange(time) / 8000 + rng.uniform(size=(num, 1)))).astype(np.float32)


def test_sources_are_distinguished_by_their_spectra() -> None:
    low, high = (300.0, 500.0), (1200.0, 2100.0)
    sounds = [tones(low, 8, 1024, 0), tones(high, 8, 1024, 1)]
    dictionaries = NmfDictionaries(sounds, num_components=2, frame_length=256, frame_step=64)
    truth = np.stack([tones(low, 4, 1024, 2), tones(high, 4, 1024, 3)], axis=1) * np.float32(0.5)
    estimates = dictionaries.separate(truth.sum(1))
    assert estimates.shape == (4, 2, 1024) and estimates.dtype == np.float32
    assert si_sdr(estimates, truth).min() > 12
    np.testing.assert_allclose(estimates.sum(1), truth.sum(1), atol=1e-5)


def test_too_little_sound_is_refused() -> None:
    with pytest.raises(InputError, match="nmf needs at least 50 frames of a source, got"):
        NmfDictionaries([tones((300.0,), 1, 512, 0)], num_components=50, frame_length=256, frame_step=64)
