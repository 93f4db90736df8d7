"""The ideal ratio mask: exact where sources do not overlap, and its estimates sum to the mixture."""

from __future__ import annotations

import numpy as np

from tfsep.baselines.ideal_ratio_mask import ideal_ratio_mask
from tfsep.metrics import si_sdr


def test_sources_apart_in_frequency_are_found() -> None:
    time = np.arange(16000) / 16000
    sources = np.stack([np.sin(2 * np.pi * hertz * time) for hertz in (200.0, 1500.0, 6000.0)])
    estimates = ideal_ratio_mask(sources, sources.sum(axis=0)).numpy()
    assert estimates.shape == sources.shape and estimates.dtype == np.float32
    assert si_sdr(estimates, sources).min() > 25


def test_estimates_sum_to_the_mixture() -> None:
    generator = np.random.default_rng(0)
    for time in (1, 100, 5000):
        sources = generator.standard_normal((2, 3, time))
        sources[1] = 0.0
        mixture = sources.sum(axis=1)
        mixture[1] = generator.standard_normal(time)
        estimates = ideal_ratio_mask(sources, mixture, 256, 64).numpy()
        np.testing.assert_allclose(estimates.sum(axis=1), mixture, atol=1e-5)
        np.testing.assert_allclose(estimates[1], np.broadcast_to(mixture[1] / 3, (3, time)), atol=1e-5)


def test_a_silent_source_stays_nearly_silent() -> None:
    sound = np.random.default_rng(1).standard_normal(8000)
    estimates = ideal_ratio_mask(np.stack([sound, 0 * sound]), sound).numpy()
    assert np.abs(estimates[1]).max() < 1e-4
