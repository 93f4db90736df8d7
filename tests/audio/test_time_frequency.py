"""Planes: exact transforms and inverses, on which masks that sum to one split a wave."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.signals import noise_tensor
from tfsep.audio import time_frequency
from tfsep.audio.time_frequency import Plane, ShortTime, WholeSegment
from tfsep.errors import InputError

PLANES = [
    WholeSegment(512),
    WholeSegment(101),
    ShortTime(512, 128, 32),
    ShortTime(1000, 256, 64),
    ShortTime(300, 100, 50),
    ShortTime(100, 256, 128),
]
every_plane = pytest.mark.parametrize("plane", PLANES, ids=str)


@every_plane
@pytest.mark.parametrize("leading", [(), (3,), (2, 4)])
def test_a_spectrum_left_alone_gives_the_wave_back(plane: Plane, leading: tuple[int, ...]) -> None:
    wave = noise_tensor(*leading, plane.segment)
    spectrum = plane.analyse(wave)
    assert spectrum.dtype == tf.complex64
    assert spectrum.shape[:-2] == leading and spectrum.shape[-1] == plane.num_bins
    back = plane.synthesise(spectrum)
    assert back.shape == wave.shape
    np.testing.assert_allclose(back, wave, atol=3e-6)


@every_plane
def test_the_inverse_is_exact_in_float64(plane: Plane) -> None:
    wave = noise_tensor(2, plane.segment, dtype=np.float64)
    np.testing.assert_allclose(plane.synthesise(plane.analyse(wave)), wave, atol=1e-12)


@every_plane
def test_masks_that_sum_to_one_split_the_wave(plane: Plane) -> None:
    wave = noise_tensor(2, plane.segment)
    spectrum = plane.analyse(wave)[:, tf.newaxis]
    logits = noise_tensor(2, 3, *spectrum.shape[2:], seed=1)
    parts = plane.synthesise(tf.cast(tf.nn.softmax(logits, axis=1), tf.complex64) * spectrum)
    assert parts.shape == (2, 3, plane.segment)
    assert np.abs(parts.numpy()).max() > 0.5
    np.testing.assert_allclose(tf.reduce_sum(parts, axis=1), wave, atol=5e-6)


@every_plane
def test_magnitudes_have_the_frames_and_bins_of_the_mask(plane: Plane) -> None:
    wave = noise_tensor(2, plane.segment)
    assert plane.magnitudes(wave).shape == plane.analyse(wave).shape


@pytest.mark.parametrize("plane", [WholeSegment(4096), ShortTime(4096, 512, 128)], ids=str)
def test_magnitudes_of_unit_noise_are_about_one_and_scale_with_the_wave(plane: Plane) -> None:
    wave = noise_tensor(20, plane.segment)
    magnitudes = plane.magnitudes(wave).numpy()
    inner = magnitudes if magnitudes.shape[1] == 1 else magnitudes[:, 4:-4]
    assert np.mean(inner[..., 1:-1] ** 2) == pytest.approx(1.0, rel=0.03)
    np.testing.assert_allclose(plane.magnitudes(0.01 * wave), 0.01 * magnitudes, rtol=1e-3, atol=1e-7)


def test_the_whole_segment_is_filtered_without_wrapping_round() -> None:
    plane = WholeSegment(64)
    wave = noise_tensor(64, dtype=np.float64)
    delay = np.exp(-2j * np.pi * np.arange(plane.num_bins) * 10 / 128)
    shifted = plane.synthesise(plane.analyse(wave) * delay).numpy()
    np.testing.assert_allclose(shifted, np.concatenate([np.zeros(10), wave[:-10].numpy()]), atol=1e-12)


def test_the_taper_keeps_partials_apart() -> None:
    """A loud tone hides a hundredth of it ten bins away without a taper, not with it."""
    time = np.arange(1024)
    tones = np.sin(2 * np.pi * 100.5 / 2048 * time) + 0.01 * np.sin(2 * np.pi * 150.5 / 2048 * time)
    magnitudes = WholeSegment(1024).magnitudes(tf.constant(tones)).numpy()[0]
    around = magnitudes[130:145].max(), magnitudes[148:154].max()
    assert around[1] > 5 * around[0]


def test_the_transform_is_the_textbooks() -> None:
    wave = noise_tensor(64, dtype=np.float64)
    np.testing.assert_allclose(WholeSegment(64).analyse(wave)[0], np.fft.rfft(wave, 128), atol=1e-12)


def test_planes_are_built_by_name() -> None:
    assert time_frequency.build("whole_segment", 99) == WholeSegment(99)
    assert time_frequency.build("short_time", 4096) == ShortTime(4096, 2048, 512)
    assert time_frequency.build("short_time", 4096, frame_length=64, frame_step=16) == ShortTime(4096, 64, 16)


@pytest.mark.parametrize(
    ("kind", "settings", "rule"),
    [
        ("wavelet", {}, "the plane must be one of short_time, whole_segment, got 'wavelet'"),
        ("whole_segment", {"frame_step": 4}, "plane 'whole_segment': .*unexpected keyword argument 'frame_step'"),
        ("short_time", {"hop": 4}, "plane 'short_time': .*unexpected keyword argument 'hop'"),
    ],
)
def test_unknown_planes_and_settings_are_refused(kind: str, settings: dict[str, Any], rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        time_frequency.build(kind, 512, **settings)


def test_framing_without_an_inverse_is_refused() -> None:
    with pytest.raises(ValueError, match="frame_step must lie in 1..frame_length/2 = 1..32, got 64"):
        _ = ShortTime(512, 64, 64).num_bins
