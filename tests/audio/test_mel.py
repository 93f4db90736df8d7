"""Mel bands: the scale, the triangles, the inverse."""

from __future__ import annotations

import numpy as np
import pytest

from tfsep.audio.mel import gather, hertz_to_mel, mel_matrix, mel_to_hertz, spread
from tfsep.audio.stft import stft


def test_the_scale_and_its_inverse() -> None:
    assert float(hertz_to_mel(1000.0)) == pytest.approx(1000.0, rel=1e-3)
    frequency = np.linspace(0, 22050, 100)
    np.testing.assert_allclose(mel_to_hertz(hertz_to_mel(frequency)), frequency, atol=1e-9)


@pytest.mark.parametrize(("num_mels", "num_bins", "rate"), [(80, 513, 16000), (40, 257, 22050), (128, 2049, 44100)])
def test_the_matrix_is_that_of_librosa(num_mels: int, num_bins: int, rate: int) -> None:
    filters = pytest.importorskip("librosa").filters.mel
    expected = filters(sr=rate, n_fft=2 * (num_bins - 1), n_mels=num_mels, htk=True, norm=None).T
    np.testing.assert_allclose(mel_matrix(num_mels, num_bins, rate), expected, atol=1e-5)


def test_neighbouring_triangles_sum_to_one() -> None:
    matrix = mel_matrix(20, 1025, 16000)
    edges = mel_to_hertz(np.linspace(0, hertz_to_mel(8000.0), 22))
    frequency = np.linspace(0, 8000, 1025)
    inside = (frequency > edges[1]) & (frequency < edges[-2])
    np.testing.assert_allclose(matrix.sum(axis=1)[inside], 1.0, atol=1e-6)
    assert matrix.min() == 0.0 and matrix.max() <= 1.0


def test_bands_keep_to_their_range() -> None:
    matrix = mel_matrix(10, 1025, 16000, 500.0, 3000.0)
    frequency = np.linspace(0, 8000, 1025)
    covered = frequency[matrix.max(axis=1) > 0]
    assert 500.0 < covered.min() < 520.0 and 2980.0 < covered.max() < 3000.0


def test_a_sine_is_in_its_band() -> None:
    x = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000).astype(np.float32)
    bands = gather(np.abs(stft(x[None], 1024, 256)), mel_matrix(40, 513, 16000))
    assert bands.shape[2] == 40
    centres = mel_to_hertz(np.linspace(0, hertz_to_mel(8000.0), 42))[1:-1]
    assert np.argmax(bands.numpy()[0, 30]) == np.argmin(np.abs(centres - 1000))


def test_spreading_bands_keeps_the_bands() -> None:
    rng = np.random.default_rng(0)
    matrix = mel_matrix(30, 513, 16000)
    bands = gather(np.abs(rng.standard_normal((5, 513))), matrix)
    again = gather(spread(bands, matrix), matrix)
    assert spread(bands, matrix).numpy().min() >= 0
    assert np.linalg.norm(again - bands) < 0.1 * np.linalg.norm(bands)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((0, 513, 16000), "num_mels must be at least 1 and num_bins at least 2, got 0 and 513"),
        ((80, 1, 16000), "got 80 and 1"),
        ((80, 513, 16000, -1.0), r"mel bands must lie in 0..8000 Hz, got -1..8000 Hz"),
        ((80, 513, 16000, 0.0, 9000.0), r"got 0..9000 Hz"),
        ((80, 513, 16000, 4000.0, 4000.0), r"got 4000..4000 Hz"),
        ((128, 65, 16000), "every mel band must hold a bin, got none in band 0 of 128"),
    ],
)
def test_bad_settings_are_refused(settings: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mel_matrix(*settings)
