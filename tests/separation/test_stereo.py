"""Mid and side, and the multichannel Wiener filter, against their formulas and on sources that sit apart."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from tfsep.audio.stft import inverse_stft, stft
from tfsep.errors import InputError
from tfsep.metrics.si_sdr import si_sdr
from tfsep.separation import stereo
from tfsep.separation.separator import Separator
from tfsep.separation.settings import STEREO_MODES

MakeSeparator = Callable[..., Separator]
TIME = 16384


def panned(places: np.ndarray, seed: int = 0) -> np.ndarray:
    """White sources at places (source, channel): (source, channel, time) float32."""
    noise = np.random.default_rng(seed).normal(size=(len(places), 1, TIME))
    return (places[:, :, np.newaxis] * noise).astype(np.float32)


def test_mid_and_side() -> None:
    wave = np.random.default_rng(0).normal(size=(3, 2, 50)).astype(np.float32)
    turned = stereo.mid_side(wave, 1)
    np.testing.assert_allclose(stereo.mid_side(turned, 1), wave, atol=1e-6)
    np.testing.assert_allclose(turned[:, 0], (wave[:, 0] + wave[:, 1]) / np.sqrt(2.0), atol=1e-6)
    assert not stereo.mid_side(wave[:1].repeat(2, axis=0), 0)[1].any()
    np.testing.assert_allclose(np.sum(turned**2), np.sum(wave**2), rtol=1e-5)


def by_the_formula(stems: np.ndarray) -> np.ndarray:
    """The filter without its regularisation, bin by bin in complex128."""
    spectra = stft(tf.constant(stems, tf.float64), 2048, 512).numpy()
    mixture, estimate = spectra.sum(axis=0), np.zeros_like(spectra)
    for bin_ in range(spectra.shape[-1]):
        y, x = spectra[..., bin_], mixture[..., bin_]
        spread = np.sqrt(np.mean(abs(y) ** 2, axis=1) * np.mean(abs(x) ** 2, axis=0))
        place = [len(x) * np.einsum("ct,dt->cd", one, one.conj()) / np.sum(abs(one) ** 2) for one in y]
        for frame in range(x.shape[1]):
            whole = sum(v * r for v, r in zip(spread[:, frame], place, strict=True))
            white = np.linalg.solve(whole, x[:, frame])
            for k, r in enumerate(place):
                estimate[k, :, frame, bin_] = spread[k, frame] * r @ white
    return inverse_stft(tf.constant(estimate), 2048, 512, length=stems.shape[-1]).numpy()


@pytest.mark.parametrize("channels", [2, 3])
def test_the_filter_is_its_formula(channels: int) -> None:
    rng = np.random.default_rng(1)
    stems = panned(np.ones((3, channels))) + 0.8 * rng.normal(size=(3, channels, TIME)).astype(np.float32)
    found = stereo.filtered(stems[np.newaxis])[0]
    np.testing.assert_allclose(found, by_the_formula(stems), atol=2e-3 * np.abs(stems).max())


def test_sources_at_one_place_keep_their_masks() -> None:
    mixture = panned(np.array([[0.8, 0.6]]))
    shares = np.array([0.1, 0.3, 0.6], np.float32)[:, np.newaxis, np.newaxis]
    stems = shares * mixture
    np.testing.assert_allclose(stereo.filtered(stems[np.newaxis])[0], stems, atol=1e-3)


def test_sources_at_different_positions_are_separated() -> None:
    truth = panned(np.array([[1.0, 0.3], [0.3, 1.0]]))
    blurred = 0.7 * truth + 0.3 * truth[::-1]
    found = stereo.filtered(blurred[np.newaxis])[0]
    gained = si_sdr(found, truth) - si_sdr(blurred, truth)
    assert np.min(gained) > 2.0 and np.mean(gained) > 4.0, gained
    np.testing.assert_allclose(found.sum(axis=0), truth.sum(axis=0), atol=1e-3)


def test_draws_keep_their_distance_from_the_mean() -> None:
    truth = panned(np.array([[1.0, 0.3], [0.3, 1.0]]))
    noise = np.random.default_rng(2).normal(size=(4, 1, 2, TIME)).astype(np.float32)
    draws = truth + np.concatenate([noise, -noise], axis=1)
    found = stereo.filtered(draws)
    np.testing.assert_allclose(found - found.mean(axis=0), draws - draws.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(found.mean(axis=0), stereo.filtered(draws.mean(axis=0)[np.newaxis])[0], atol=1e-5)


@pytest.mark.parametrize("stems", [np.zeros((1, 2, 2, 3000)), np.ones((1, 2, 1, 3000))])
def test_silence_and_one_channel_are_left_alone(stems: np.ndarray) -> None:
    np.testing.assert_array_equal(stereo.filtered(stems.astype(np.float32)), stems)


@pytest.mark.parametrize("peak", [1e-5, 1e-7, 1e-12, 1e-20, 1e-30])
def test_a_click_in_silence_passes(peak: float) -> None:
    """As a lossy decoder or the end of a resampler's tail leaves it."""
    stems = np.zeros((1, 3, 2, TIME), np.float32)
    stems[0, :, 0, 5000] = peak * np.array([0.5, 0.3, 0.2])
    found = stereo.filtered(stems)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=1), stems.sum(axis=1), atol=1e-5 * peak)


@pytest.mark.parametrize("mode", STEREO_MODES)
def test_modes_of_a_separator(make_separator: MakeSeparator, mode: str) -> None:
    """Bands are linear in the waveform, so turning channels changes nothing; the mixture is kept by every mode."""
    wave = 0.1 * np.random.default_rng(3).normal(size=(2, 5000)).astype(np.float32)
    separator = make_separator(settings={"stereo": mode})
    stems = np.stack(list(separator(wave).values()))
    np.testing.assert_allclose(stems.sum(axis=0), wave, atol=1e-6)
    alone = np.stack(list(make_separator()(wave).values()))
    assert (np.max(np.abs(stems - alone)) < 1e-6) == (mode != "wiener")
    np.testing.assert_array_equal(separator(wave[0])["low"], make_separator()(wave[0])["low"])
    np.testing.assert_array_equal(separator.separate_batch(wave), make_separator().separate_batch(wave))


def test_an_unknown_mode_is_refused(make_separator: MakeSeparator) -> None:
    with pytest.raises(InputError, match="stereo must be one of each, mid_side, wiener, got 'left'"):
        make_separator(settings={"stereo": "left"})
