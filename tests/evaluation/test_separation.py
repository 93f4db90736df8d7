"""Scores: means over what can be scored, tracks of uneven files, and baselines of known height."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tfsep.audio import files
from tfsep.errors import InputError, JobError
from tfsep.evaluation import separation as scores
from tfsep.evaluation.separation import Batch, Scores
from tfsep.metrics import si_sdr

NAN = float("nan")


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def write(track: Path, rate: int = 8000, **sounds: np.ndarray) -> Path:
    for name, sound in sounds.items():
        with files.Writer(track / f"{name}.wav", rate, len(sound)) as writer:
            writer.write(sound)
    return track


class Oracle:
    """A separator that knows the answer of each batch, but for noise."""

    name, sources, sample_rate, segment = "oracle", ("drums", "bass"), 8000, 512

    def __init__(self, batches: list[Batch], error: float) -> None:
        self.answers = [batch.references + error * noise(*batch.references.shape, seed=9) for batch in batches]

    def separate_batch(self, mixtures: np.ndarray, seed: int = 0) -> np.ndarray:
        return self.answers.pop(0)[np.newaxis]

    def __call__(self, waveform: np.ndarray, sample_rate: int, seed: int = 0) -> dict[str, np.ndarray]:
        answer = self.answers.pop(0)
        return {name: answer[:, k] for k, name in enumerate(self.sources)}


def batch(song: bool, silent: bool = False, seed: int = 0) -> Batch:
    """Three mixtures of two sources; with ``silent`` one source is heard in the first mixture and has no reference."""
    references = noise(3, 2, 4000, seed=seed)
    mixture = references.sum(1)
    if silent:
        references[0, 1] = 0.0
    return Batch(mixture, references, 8000, song)


def test_scores_are_si_sdr_within_limits() -> None:
    kept = Scores()
    references = noise(2, 2, 300)
    references[1, 1] = 0.0
    estimates = references + 0.1 * noise(2, 2, 300, seed=1)
    estimates[0, 0] = references[0, 0]
    estimates[0, 1] = 0.0
    kept.add(estimates, references)
    kept.add(estimates[:1], references[:1])
    expected = np.array([[100.0, -100.0], [si_sdr(estimates[1, 0], references[1, 0]), NAN], [100.0, -100.0]])
    np.testing.assert_allclose(kept.table(), expected)


def test_a_summary_leaves_silence_out() -> None:
    table = np.array([[12.0, NAN], [6.0, 11.0], [NAN, NAN]])
    mixture = np.array([[0.0, NAN], [2.0, -4.0], [NAN, NAN]])
    found = scores.summary(table, mixture, ("drums", "bass"))
    assert found["sources"]["drums"] == {
        "si_sdr": 9.0, "si_sdri": 8.0, "fraction_above_10db": 0.5, "count": 2, "silent": 1
    }  # fmt: skip
    assert found["sources"]["bass"] == {
        "si_sdr": 11.0, "si_sdri": 15.0, "fraction_above_10db": 1.0, "count": 1, "silent": 2
    }  # fmt: skip
    assert found["mean_si_sdri"] == pytest.approx(31 / 3) and found["median_si_sdri"] == 12.0
    assert found["fraction_above_10db"] == pytest.approx(2 / 3)


def test_a_source_that_is_always_silent_has_no_score() -> None:
    found = scores.summary(np.full((2, 1), NAN), np.full((2, 1), NAN), ("bass",))
    assert found["sources"]["bass"]["si_sdr"] is None and found["mean_si_sdri"] is None


@pytest.mark.parametrize("song", [False, True])
def test_a_record_counts_mixtures_and_knows_its_baselines(song: bool) -> None:
    batches = [batch(song), batch(song, silent=True, seed=1)]
    told: list[int] = []
    separator: Any = Oracle(batches, error=0.1)
    found = scores.evaluate(separator, batches, "known", seed=4, progress=told.append)
    assert found["num_mixtures"] == sum(told) == (2 if song else 6)
    assert (found["model"], found["data"], found["seed"], found["silent"]) == ("oracle", "known", 4, 1)
    assert found["sources"]["drums"]["si_sdr"] == pytest.approx(20.0, abs=0.3)
    assert found["mean_si_sdri"] == pytest.approx(20.0, abs=0.5)
    assert found["sources"]["bass"]["count"] == 5
    baselines = found["baselines"]
    assert baselines["mixture"]["mean_si_sdri"] == 0.0
    assert baselines["mixture"]["sources"]["drums"]["si_sdr"] == pytest.approx(0.0, abs=0.3)
    assert 2.0 < baselines["ideal_ratio_mask"]["mean_si_sdri"] < 20.0
    assert found["real_time_factor"] == pytest.approx(found["seconds"] / (1.0 if song else 3.0))
    text = scores.as_text(found)
    assert text.startswith(f"oracle on known: {found['num_mixtures']} mixtures, seed 4\n")
    assert "\nideal_ratio_mask" in text


def test_a_track_is_made_even(tmp_path: Path) -> None:
    drums, other = noise(2, 900), noise(1, 1200, seed=1)
    found = scores.read_track(write(tmp_path / "track", drums=drums, other=other), ("drums", "bass", "other"))
    assert found.references.shape == (2, 3, 1200) and found.sample_rate == 8000 and found.song
    np.testing.assert_allclose(found.references[:, 0, :900], drums, atol=1e-6)
    assert not found.references[:, 0, 900:].any() and not found.references[:, 1].any()
    np.testing.assert_allclose(found.references[:, 2], np.repeat(other, 2, axis=0), atol=1e-6)
    np.testing.assert_allclose(found.mixture, found.references.sum(1), atol=1e-6)


def test_a_mixture_file_is_the_mixture(tmp_path: Path) -> None:
    track = write(tmp_path / "track", drums=noise(1, 500), mixture=noise(1, 500, seed=5))
    np.testing.assert_allclose(scores.read_track(track, ("drums",)).mixture, noise(1, 500, seed=5), atol=1e-6)


def test_stems_at_different_rates_are_brought_to_one(tmp_path: Path) -> None:
    tone = np.sin(2 * np.pi * 300 * np.arange(16000) / 16000)[np.newaxis].astype(np.float32)
    write(tmp_path / "track", 16000, bass=tone)
    track = write(tmp_path / "track", 8000, drums=noise(1, 8000))
    found = scores.read_track(track, ("drums", "bass"))
    assert found.sample_rate == 8000 and found.references.shape == (1, 2, 8000)
    expected = np.sin(2 * np.pi * 300 * np.arange(8000) / 8000)
    np.testing.assert_allclose(found.references[0, 1, 500:-500], expected[500:-500], atol=1e-3)


def test_stems_with_different_numbers_of_channels_are_refused(tmp_path: Path) -> None:
    track = write(tmp_path / "track", drums=noise(2, 500), bass=noise(3, 500))
    with pytest.raises(JobError, match=r"one number of channels, got \[2, 3\]"):
        scores.read_track(track, ("drums", "bass"))


def test_tracks_without_any_of_the_sources_are_passed_over(tmp_path: Path) -> None:
    for number, name in enumerate(("drums", "flute", "bass")):
        write(tmp_path / "test" / f"{number}", **{name: noise(1, 500)})
    separator: Any = SimpleNamespace(sources=("drums", "bass"))
    assert len(list(scores.song_batches(separator, tmp_path, "test"))) == 2
    assert len(list(scores.song_batches(separator, tmp_path, "test", 1))) == 1
    separator = SimpleNamespace(sources=("vocals",))
    with pytest.raises(InputError, match="no track under .* has a stem of vocals"):
        next(scores.song_batches(separator, tmp_path, "test"))


def test_toy_mixtures_come_in_batches_at_the_models_rate() -> None:
    separator: Any = SimpleNamespace(sources=("square", "sine"), sample_rate=16000, segment=100)
    found = list(scores.toy_batches(separator, 70, seed=2, free=False))
    assert [each.mixture.shape for each in found] == [(64, 100), (6, 100)]
    np.testing.assert_allclose(found[0].mixture, found[0].references.sum(1), atol=1e-6)
    assert np.abs(found[0].references).max() == pytest.approx(0.5, abs=0.01)
    assert next(scores.toy_batches(separator, 3, seed=2, free=True, length=55)).mixture.shape == (3, 55)
    separator.sources = ("sine", "drums")
    with pytest.raises(InputError, match="toy data have the sources sine, .*, the model has 'drums'"):
        next(scores.toy_batches(separator, 3, seed=2, free=False))


def test_the_ideal_mask_of_a_long_song_is_made_in_stretches() -> None:
    references = 0.1 * noise(1, 2, 31 * 1000)
    long = Batch(references.sum(1), references, 1000, song=True)
    found = scores.oracle_mask(long)
    assert found.shape == references.shape
    first = scores.oracle_mask(Batch(long.mixture[:, :30000], references[..., :30000], 1000, song=True))
    np.testing.assert_allclose(found[..., :30000], first, atol=1e-6)


def test_sources_are_brought_near_their_median_level() -> None:
    levels = np.array([1.0, 0.1, 0.05, 0.0])
    rng = np.random.default_rng(0)
    references = (levels[:, np.newaxis] * rng.choice((-1.0, 1.0), size=(2, 4, 50))).astype(np.float32)
    batch = Batch(references.sum(axis=1), references, 8000, song=True)
    found = scores.balanced(batch, 2.0)
    gains = found.references[0, :3, 0] / references[0, :3, 0]
    expected = np.array([0.1 * 10**0.1, 0.1, 0.1 * 10**-0.1]) / levels[:3]
    np.testing.assert_allclose(gains, expected, rtol=1e-5)
    np.testing.assert_allclose(found.references, references * np.append(expected, 1.0)[:, np.newaxis], rtol=1e-5)
    np.testing.assert_allclose(found.mixture, found.references.sum(axis=1), atol=1e-6)
    np.testing.assert_array_equal(scores.balanced(batch, 100.0).references, references)
