"""The scale-invariant ratio against its definition, its limits, and another implementation."""

from __future__ import annotations

import numpy as np
import pytest

import tfsep.metrics
from tfsep.metrics.si_sdr import is_silent, si_sdr, si_sdri

pytestmark = pytest.mark.programs


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def orthogonal_to(reference: np.ndarray, seed: int = 1) -> np.ndarray:
    other = noise(*reference.shape, seed=seed)
    return other - np.sum(other * reference) / np.sum(reference**2) * reference


@pytest.mark.parametrize("decibels", [-20.0, 0.0, 3.0, 60.0])
def test_a_known_ratio(decibels: float) -> None:
    reference = noise(4000)
    error = orthogonal_to(reference)
    error *= np.linalg.norm(reference) / np.linalg.norm(error) * 10 ** (-decibels / 20)
    assert si_sdr(reference + error, reference) == pytest.approx(decibels, abs=1e-9)


@pytest.mark.parametrize("scale", [1e-6, -1.0, 0.3, 1e6])
def test_scales_do_not_matter(scale: float) -> None:
    reference, estimate = noise(2, 1000)
    expected = si_sdr(estimate, reference)
    assert si_sdr(scale * estimate, reference) == pytest.approx(expected)
    assert si_sdr(estimate, scale * reference) == pytest.approx(expected)


def test_it_is_that_of_fast_bss_eval() -> None:
    fast_bss_eval = pytest.importorskip("fast_bss_eval.numpy")
    reference = noise(3, 5000)
    estimate = reference + 0.3 * noise(3, 5000, seed=1) + 0.1
    expected = fast_bss_eval.si_sdr(reference[:, None], estimate[:, None], zero_mean=False)[:, 0]
    np.testing.assert_allclose(si_sdr(estimate, reference), expected, atol=1e-6)


def test_means_are_not_removed() -> None:
    reference = noise(1000) + 5.0
    assert abs(si_sdr(reference + 1.0, reference) - si_sdr(reference - reference.mean() + 1.0, reference)) > 1.0


def test_leading_axes_broadcast() -> None:
    estimate, reference = noise(5, 2, 3, 100), noise(2, 1, 100, seed=1)
    result = si_sdr(estimate, reference)
    assert result.shape == (5, 2, 3) and result.dtype == np.float64
    assert result[4, 1, 2] == pytest.approx(si_sdr(estimate[4, 1, 2], reference[1, 0]))


def test_the_axis_is_chosen() -> None:
    estimate, reference = noise(2, 100, 3)
    np.testing.assert_allclose(si_sdr(estimate, reference, axis=0), si_sdr(estimate.T, reference.T))


def test_the_limits() -> None:
    reference = noise(100)
    assert si_sdr(reference, reference) == np.inf
    assert si_sdr(np.zeros(100), reference) == -np.inf
    assert si_sdr([0.0, 1.0], [1.0, 0.0]) == -np.inf
    for silence in (np.zeros(100), np.full(100, 9e-7)):
        assert np.isnan(si_sdr(reference, silence)) and np.isnan(si_sdr(silence, silence))
    assert np.isfinite(si_sdr(reference, np.full(100, 1.1e-6)))


def test_no_warning_is_given(recwarn: pytest.WarningsRecorder) -> None:
    silence, sound = np.zeros(100), noise(100)
    for estimate in (silence, sound):
        for reference in (silence, sound):
            si_sdri(estimate, reference, silence)
            si_sdri(estimate, reference, sound)
    assert not recwarn.list


def test_single_precision_is_calculated_in_double() -> None:
    reference, estimate = noise(2, 100000).astype(np.float32)
    assert si_sdr(estimate, reference) == si_sdr(estimate.astype(np.float64), reference.astype(np.float64))


def test_a_residual_far_below_single_precision_is_seen() -> None:
    reference = noise(1000)
    assert si_sdr(reference * (1 + 1e-12 * np.sign(orthogonal_to(reference))), reference) > 200


def test_the_improvement_is_the_difference() -> None:
    reference, other = noise(2, 2, 1000)
    mixture = reference + other
    estimate = reference + 0.1 * other
    expected = si_sdr(estimate, reference) - si_sdr(mixture, reference)
    np.testing.assert_allclose(si_sdri(estimate, reference, mixture), expected)
    np.testing.assert_allclose(si_sdri(mixture, reference, mixture), 0.0)
    assert np.all(expected > 15)


def test_silence_by_axis() -> None:
    x = np.zeros((2, 50))
    x[1, 3] = 0.1
    np.testing.assert_array_equal(is_silent(x), [True, False])
    assert is_silent(x, axis=0).sum() == 49


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="same number of samples, got 10 and 1"):
        si_sdr(noise(10), noise(1))


def test_the_package_offers_the_functions() -> None:
    assert tfsep.metrics.si_sdr is si_sdr and tfsep.metrics.si_sdri is si_sdri
