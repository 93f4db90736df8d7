"""Metrics of separations: means over what can be measured, and baselines of known height."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.signals import noise
from tfsep.evaluation import separation
from tfsep.evaluation.mixtures import Batch
from tfsep.evaluation.separation import EvaluationSettings, SiSdrTable
from tfsep.metrics import si_sdr

NAN = float("nan")


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
    """Make three mixtures of two sources; with ``silent`` one of them lacks a reference for what it holds."""
    references = noise(3, 2, 4000, seed=seed)
    mixture = references.sum(1)
    if silent:
        references[0, 1] = 0.0
    return Batch(mixture, references, 8000, song)


def test_the_table_is_si_sdr_within_limits() -> None:
    kept = SiSdrTable()
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
    found = separation.summary(table, mixture, ("drums", "bass"))
    assert found["sources"]["drums"] == {
        "si_sdr": 9.0, "si_sdri": 8.0, "fraction_above_10db": 0.5, "count": 2, "silent": 1
    }  # fmt: skip
    assert found["sources"]["bass"] == {
        "si_sdr": 11.0, "si_sdri": 15.0, "fraction_above_10db": 1.0, "count": 1, "silent": 2
    }  # fmt: skip
    assert found["mean_si_sdri"] == pytest.approx(31 / 3) and found["median_si_sdri"] == 12.0
    assert found["fraction_above_10db"] == pytest.approx(2 / 3)


def test_a_source_that_is_always_silent_has_no_metric() -> None:
    found = separation.summary(np.full((2, 1), NAN), np.full((2, 1), NAN), ("bass",))
    assert found["sources"]["bass"]["si_sdr"] is None and found["mean_si_sdri"] is None


@pytest.mark.parametrize("song", [False, True])
def test_a_record_counts_mixtures_and_knows_its_baselines(song: bool) -> None:
    batches = [batch(song), batch(song, silent=True, seed=1)]
    counts: list[int] = []
    separator: Any = Oracle(batches, error=0.1)
    settings = EvaluationSettings("known", seed=4)
    found = separation.evaluate(separator, settings, batches, counts.append)
    assert found["num_mixtures"] == sum(counts) == (2 if song else 6)
    assert (found["model"], found["data"], found["seed"], found["silent"]) == ("oracle", "known", 4, 1)
    assert found["sources"]["drums"]["si_sdr"] == pytest.approx(20.0, abs=0.3)
    assert found["mean_si_sdri"] == pytest.approx(20.0, abs=0.5)
    assert found["sources"]["bass"]["count"] == 5
    baselines = found["baselines"]
    assert baselines["mixture"]["mean_si_sdri"] == 0.0
    assert baselines["mixture"]["sources"]["drums"]["si_sdr"] == pytest.approx(0.0, abs=0.3)
    assert 2.0 < baselines["ideal_ratio_mask"]["mean_si_sdri"] < 20.0
    assert found["real_time_factor"] == pytest.approx(found["seconds"] / (1.0 if song else 3.0))
    text = separation.as_text(found)
    assert text.startswith(f"oracle on known: {found['num_mixtures']} mixtures, seed 4\n")
    assert "\nideal_ratio_mask" in text


def test_the_ideal_mask_of_a_long_song_is_made_in_stretches() -> None:
    references = 0.1 * noise(1, 2, 31 * 1000)
    long = Batch(references.sum(1), references, 1000, song=True)
    found = separation.oracle_mask(long)
    assert found.shape == references.shape
    first = separation.oracle_mask(Batch(long.mixture[:, :30000], references[..., :30000], 1000, song=True))
    np.testing.assert_allclose(found[..., :30000], first, atol=1e-6)


class Drawing:
    """A separator whose draws tell their seed, of which only so many fit its memory."""

    name, sources, sample_rate, segment = "drawing", ("drums", "bass"), 8000, 512

    def __init__(self, most: int) -> None:
        self.most = most

    def most_samples(self, wanted: int) -> int:
        return min(wanted, self.most)

    def separate_batch(self, mixtures: np.ndarray, num_samples: int, seeds: list[int]) -> np.ndarray:
        assert 2 <= num_samples <= max(2, self.most)
        drawn = [np.random.default_rng(seed).normal(size=(num_samples, 2, mixtures.shape[1])) for seed in seeds]
        return np.stack(drawn, axis=1)

    def __call__(self, waveform: np.ndarray, sample_rate: int, num_samples: int, seed: int) -> dict[str, np.ndarray]:
        drawn = self.separate_batch(waveform, num_samples, [seed] * len(waveform))
        return {name: drawn[:, :, k] for k, name in enumerate(self.sources)}


@pytest.mark.parametrize("song", [False, True])
def test_draws_of_a_calibration_come_in_groups_that_fit(song: bool) -> None:
    whole, truth = separation.posterior_samples(Drawing(50), batch(song), 4)  # type: ignore[arg-type]
    for most in (1, 2, 3, 13, 38, 39):
        drawn, same = separation.posterior_samples(Drawing(most), batch(song), 4)  # type: ignore[arg-type]
        assert drawn.shape == whole.shape == (39, *truth.shape) and (same == truth).all()
        assert len(np.unique(drawn[:, 0, 0, 0])) == 39, "no draw comes twice"
        assert (most == 39) == np.array_equal(drawn, whole)
