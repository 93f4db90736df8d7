"""Mixtures that separations are measured on: tracks of uneven files, toys in batches, balanced songs."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

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


def test_a_broken_track_is_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(4):
        write(tmp_path / "test" / f"{number}", drums=noise(1, 500), bass=noise(1, 500, seed=number))
    (tmp_path / "test" / "1" / "bass.wav").write_bytes(b"")
    samples = noise(1, 500)
    samples[0, 400] = np.nan
    soundfile.write(tmp_path / "test" / "2" / "drums.wav", samples.T, 8000, subtype="FLOAT")
    separator: Any = SimpleNamespace(sources=("drums", "bass"))
    found = mixtures.song_batches(separator, tmp_path, "test")
    next(found)
    assert "the track 1 is left out: a sound file must hold something, got an empty file" in caplog.text
    assert "the track 2" not in caplog.text, "its header is sound"
    assert len(list(found)) == 1
    assert "the track 2 is left out: samples must be finite" in caplog.text
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]


def test_no_track_that_can_be_read_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "test" / "1", drums=noise(1, 500))
    (tmp_path / "test" / "1" / "drums.wav").write_text("no sound")
    separator: Any = SimpleNamespace(sources=("drums",))
    with pytest.raises(JobError, match="no track under .*test can be read"):
        next(mixtures.song_batches(separator, tmp_path, "test"))


@pytest.mark.parametrize("name", ["bass.WAV", "bass.aiff", "Bass.wav", "bass.Flac"])
def test_a_stem_is_found_whatever_its_case_and_suffix(tmp_path: Path, name: str) -> None:
    write(tmp_path, drums=noise(1, 500))
    (tmp_path / "bass.tmp").write_bytes(b"")
    kind = name.rpartition(".")[2].upper()
    soundfile.write(tmp_path / name, 0.1 * noise(1, 500, seed=3).T, 8000, format=kind, subtype="PCM_16")
    found = mixtures.read_track(tmp_path, ("drums", "bass"))
    np.testing.assert_allclose(found.references[:, 1], 0.1 * noise(1, 500, seed=3), atol=1e-4)


def test_a_source_without_a_file_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    mixtures.read_track(write(tmp_path / "a song", drums=noise(1, 500)), ("drums", "bass", "flute"))
    assert "the track a song has no file of bass, flute: its reference is silence" in caplog.text


@pytest.mark.parametrize("fault", ["none", "shifted", "halved", "other stems", "silent"])
def test_a_mixture_that_is_not_its_stems_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: str) -> None:
    drums, bass, guitar = (noise(1, 8000, seed=seed) for seed in (1, 2, 3))
    mixture = drums + bass
    if fault == "shifted":
        mixture = np.roll(mixture, 80, axis=1)
    elif fault == "halved":
        mixture = 0.5 * mixture
    elif fault == "other stems":
        write(tmp_path / "song", guitar=guitar)
        mixture = mixture + guitar
    elif fault == "silent":
        drums, bass, mixture = 0 * drums, 0 * bass, 0 * mixture
    mixtures.read_track(write(tmp_path / "song", drums=drums, bass=bass, mixture=mixture), ("drums", "bass"))
    said = {"shifted": "leaves 3.", "halved": "leaves 0.0 dB, more than -15 dB"}
    assert (said.get(fault, "") in caplog.text) and bool(caplog.text) == (fault in said)


def test_odd_files_of_a_track_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each once, with the track, the rule and the values; a track of even files is passed over in silence."""
    names = ("drums", "bass")
    even = write(tmp_path / "even", drums=noise(1, 500), bass=noise(1, 500, seed=1))
    write(tmp_path / "rates", 16000, drums=noise(1, 1001))
    rates = write(tmp_path / "rates", 8000, bass=noise(1, 500))
    for track in (even, rates):
        mixtures.read_track(track, names)
    assert caplog.text == ""
    cases = {
        "lengths": (
            {"drums": noise(1, 500), "bass": noise(1, 400)},
            "one length, got samples 500 (drums.wav), 400 (b",
        ),
        "by one": ({"drums": noise(1, 500), "bass": noise(1, 501)}, "one length, got samples 501 (bass.wav), 500 (dru"),
        "channels": ({"drums": noise(2, 500), "bass": noise(1, 500)}, "channels, got 2 (drums.wav), 1 (bass.wav): one"),
        "mixture": (
            {"drums": noise(1, 500), "bass": 0 * noise(1, 500), "mixture": noise(1, 499)},
            "got samples 500 (drums.wav, bass.wav), 499 (mixture.wav): silence follows",
        ),
    }
    for track, (sounds, said) in cases.items():
        caplog.clear()
        mixtures.read_track(write(tmp_path / track, **sounds), names)
        assert len(caplog.records) == 1 and caplog.records[0].levelname == "WARNING"
        assert f"the track {track}: its files must have" in caplog.text and said in caplog.text


def test_two_files_of_one_source_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path / "song", drums=noise(1, 500), bass=noise(1, 500, seed=1))
    soundfile.write(tmp_path / "song" / "drums.flac", 0.1 * noise(1, 500, seed=2).T, 8000)
    found = mixtures.read_track(tmp_path / "song", ("drums", "bass"))
    np.testing.assert_allclose(found.references[:, 0], 0.1 * noise(1, 500, seed=2), atol=1e-4)
    (record,) = caplog.records
    assert record.getMessage() == (
        "the track song: there must be one file of 'drums', got drums.flac, drums.wav: drums.flac is taken"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable for this user")
def test_a_track_that_cannot_be_opened_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a", "b"):
        write(tmp_path / "test" / name, drums=noise(1, 500))
    (tmp_path / "test" / "a").chmod(0)
    separator: Any = SimpleNamespace(sources=("drums",))
    assert len(list(mixtures.song_batches(separator, tmp_path, "test"))) == 1
    assert "the track a is left out: the folder" in caplog.text
