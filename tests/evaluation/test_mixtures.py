"""Mixtures that separations are measured on: tracks of uneven files, toys in batches, balanced songs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.signals import noise
from tfsep.audio import files
from tfsep.errors import InputError, JobError
from tfsep.evaluation import mixtures
from tfsep.evaluation.mixtures import Batch


def write(track: Path, rate: int = 8000, **sounds: np.ndarray) -> Path:
    for name, sound in sounds.items():
        with files.Writer(track / f"{name}.wav", rate, len(sound)) as writer:
            writer.write(sound)
    return track


def test_a_track_is_made_even(tmp_path: Path) -> None:
    drums, other = noise(2, 900), noise(1, 1200, seed=1)
    found = mixtures.read_track(write(tmp_path / "track", drums=drums, other=other), ("drums", "bass", "other"))
    assert found.references.shape == (2, 3, 1200) and found.sample_rate == 8000 and found.song
    np.testing.assert_allclose(found.references[:, 0, :900], drums, atol=1e-6)
    assert not found.references[:, 0, 900:].any() and not found.references[:, 1].any()
    np.testing.assert_allclose(found.references[:, 2], np.repeat(other, 2, axis=0), atol=1e-6)
    np.testing.assert_allclose(found.mixture, found.references.sum(1), atol=1e-6)


def test_a_mixture_file_is_the_mixture(tmp_path: Path) -> None:
    track = write(tmp_path / "track", drums=noise(1, 500), mixture=noise(1, 500, seed=5))
    np.testing.assert_allclose(mixtures.read_track(track, ("drums",)).mixture, noise(1, 500, seed=5), atol=1e-6)


def test_stems_at_different_rates_are_brought_to_one(tmp_path: Path) -> None:
    tone = np.sin(2 * np.pi * 300 * np.arange(16000) / 16000)[np.newaxis].astype(np.float32)
    write(tmp_path / "track", 16000, bass=tone)
    track = write(tmp_path / "track", 8000, drums=noise(1, 8000))
    found = mixtures.read_track(track, ("drums", "bass"))
    assert found.sample_rate == 8000 and found.references.shape == (1, 2, 8000)
    expected = np.sin(2 * np.pi * 300 * np.arange(8000) / 8000)
    np.testing.assert_allclose(found.references[0, 1, 500:-500], expected[500:-500], atol=1e-3)


def test_stems_with_different_numbers_of_channels_are_refused(tmp_path: Path) -> None:
    track = write(tmp_path / "track", drums=noise(2, 500), bass=noise(3, 500))
    with pytest.raises(JobError, match=r"one number of channels, got \[2, 3\]"):
        mixtures.read_track(track, ("drums", "bass"))


def test_tracks_without_any_of_the_sources_are_passed_over(tmp_path: Path) -> None:
    for number, name in enumerate(("drums", "flute", "bass")):
        write(tmp_path / "test" / f"{number}", **{name: noise(1, 500)})
    separator: Any = SimpleNamespace(sources=("drums", "bass"))
    assert len(list(mixtures.song_batches(separator, tmp_path, "test"))) == 2
    assert len(list(mixtures.song_batches(separator, tmp_path, "test", 1))) == 1
    separator = SimpleNamespace(sources=("vocals",))
    with pytest.raises(InputError, match="no track under .* has a stem of vocals"):
        next(mixtures.song_batches(separator, tmp_path, "test"))


def test_toy_mixtures_come_in_batches_at_the_models_rate() -> None:
    separator: Any = SimpleNamespace(sources=("square", "sine"), sample_rate=16000, segment=100)
    found = list(mixtures.toy_batches(separator, 70, seed=2, free=False))
    assert [each.mixture.shape for each in found] == [(64, 100), (6, 100)]
    np.testing.assert_allclose(found[0].mixture, found[0].references.sum(1), atol=1e-6)
    assert np.abs(found[0].references).max() == pytest.approx(0.5, abs=0.01)
    assert next(mixtures.toy_batches(separator, 3, seed=2, free=True, length=55)).mixture.shape == (3, 55)
    separator.sources = ("sine", "drums")
    with pytest.raises(InputError, match="toy data have the sources sine, .*, the model has 'drums'"):
        next(mixtures.toy_batches(separator, 3, seed=2, free=False))


def test_sources_are_brought_near_their_median_level() -> None:
    levels = np.array([1.0, 0.1, 0.05, 0.0])
    rng = np.random.default_rng(0)
    references = (levels[:, np.newaxis] * rng.choice((-1.0, 1.0), size=(2, 4, 50))).astype(np.float32)
    batch = Batch(references.sum(axis=1), references, 8000, song=True)
    found = mixtures.balanced(batch, 2.0)
    gains = found.references[0, :3, 0] / references[0, :3, 0]
    expected = np.array([0.1 * 10**0.1, 0.1, 0.1 * 10**-0.1]) / levels[:3]
    np.testing.assert_allclose(gains, expected, rtol=1e-5)
    np.testing.assert_allclose(found.references, references * np.append(expected, 1.0)[:, np.newaxis], rtol=1e-5)
    np.testing.assert_allclose(found.mixture, found.references.sum(axis=1), atol=1e-6)
    np.testing.assert_array_equal(mixtures.balanced(batch, 100.0).references, references)
