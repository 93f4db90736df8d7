"""Median filters and independent components, where they apply and where they are refused."""

from __future__ import annotations

import numpy as np
import pytest

from tfsep.baselines import blind
from tfsep.errors import InputError
from tfsep.metrics import si_sdr


def test_clicks_are_separated_from_tones() -> None:
    time = np.arange(32000)
    tone = np.sin(2 * np.pi * 440 * time / 16000).astype(np.float32)
    clicks = np.zeros(32000, np.float32)
    clicks[4000::8000] = 20.0
    found = blind.drums_by_median((tone + clicks)[np.newaxis], ("bass", "drums"))
    truth = np.stack([tone, clicks])[np.newaxis]
    assert si_sdr(found, truth).min() > 10
    np.testing.assert_allclose(found.sum(1), truth.sum(1), atol=1e-4)


@pytest.mark.parametrize("sources", [("sine", "square"), ("drums",)])
def test_median_filters_separate_drums_only(sources: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="'hpss' separates drums from everything else"):
        blind.drums_by_median(np.zeros((1, 4000), np.float32), sources)


def test_independent_sources_in_two_channels_are_found() -> None:
    rng = np.random.default_rng(0)
    sources = np.stack([rng.laplace(size=8000), rng.uniform(-1, 1, size=8000)])
    references = np.array([[1.0, 0.4], [-0.3, 1.0]])[:, :, np.newaxis] * sources
    found = blind.independent_components(references.sum(1), references)
    assert found.shape == (2, 2, 8000)
    assert si_sdr(found, references).min() > 15


def test_too_few_channels_are_refused() -> None:
    with pytest.raises(InputError, match="'ica' needs as many channels as sources, got 2 for 3"):
        blind.independent_components(np.zeros((2, 100)), np.zeros((2, 3, 100)))
