"""The prior test on priors whose every number is known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep import metrics
from tfsep.audio import files
from tfsep.data import toy
from tfsep.errors import InputError, JobError
from tfsep.evaluation import excerpts
from tfsep.evaluation.prior_scorer import PriorScorer, noise_like, scorers_of
from tfsep.evaluation.prior_set import PriorSet
from tfsep.prior_test import cross_likelihood, detection_scores, run, tables
from tfsep.prior_test.gibbs_bound import bound, gibbs_rows
from tfsep.prior_test.run import PriorTestSettings

LENGTH, RATE = 64, 16000
PAIR = ("sine", "square")


@pytest.fixture(scope="module")
def record(gaussians: PriorSet, data: Any) -> dict[str, Any]:
    return run.run(gaussians, data, PriorTestSettings(num_examples=70, with_ideal=False))


def direct(tested: PriorSet, data: Any, source: str, sigma: float, num: int) -> np.ndarray:
    """Compute log-densities per dimension (excerpt, prior) without batches, graphs or tables."""
    waves = data.excerpts(source, num)[..., np.newaxis]
    noise = np.concatenate(
        [noise_like(waves[start : start + 64], data.seed, source, part) for part, start in enumerate(range(0, num, 64))]
    )
    return np.stack([p.log_prob(waves + sigma * noise, sigma) / LENGTH for p in tested.priors.values()], axis=1)


def test_the_matrix_is_the_mean_of_log_densities(record: dict[str, Any], gaussians: PriorSet, data: Any) -> None:
    assert record["sigma"] == 0.02 and record["domain"] == "wave" and record["dimensions"] == LENGTH
    direct_values = {source: direct(gaussians, data, source, 0.02, 70) for source in PAIR}
    for k, prior in enumerate(PAIR):
        for source in PAIR:
            assert record["log_prob"][prior][source] == pytest.approx(direct_values[source][:, k].mean(), abs=1e-4)
    values, labels = np.concatenate([direct_values[s] for s in PAIR]), np.repeat([0, 1], 70)
    counts = metrics.confusion(values, labels)
    assert record["accuracy"] == metrics.accuracy(counts)
    assert [list(row.values()) for row in record["confusion"].values()] == counts.tolist()
    assert record["auroc"]["sine"] == metrics.auroc(direct_values["sine"][:, 0], direct_values["square"][:, 0])
    assert sum(record["histograms"]["sine"]["counts"]["square"]) == 70


def test_every_noise_level_and_detection_score_is_reported(record: dict[str, Any]) -> None:
    assert [row["sigma"] for row in record["by_sigma"]] == [None, 0.01, 0.02, 0.027, 0.077, 0.129, 0.359]
    headline = record["by_sigma"][2]
    assert headline["log_prob"] == record["log_prob"] and headline["accuracy"] == record["accuracy"]
    names = {"log_prob", "likelihood_ratio", "input_complexity", "typicality", "denoising_error", "score_norms"}
    assert set(record["detection_scores"]) == names | {"loudness", "ratio_with_silence"}
    for name in ("likelihood_ratio", "ratio_with_silence", "input_complexity"):
        assert record["detection_scores"][name]["accuracy"] == record["accuracy"]
    for row in record["detection_scores"].values():
        assert 0.0 <= row["accuracy"] <= 1.0 and set(row["auroc"]) == set(PAIR)
    assert set(record["out_of_distribution"]) == {
        "silence", "time_reversed", "pitch_shifted", *(f"noise_{s:g}" for s in cross_likelihood.NOISE_LEVELS)
    }  # fmt: skip


def test_silence_under_a_gaussian_is_its_likeliest_input(record: dict[str, Any]) -> None:
    assert record["silence_is_likelier"] == list(PAIR)
    assert record["out_of_distribution"]["silence"]["sine"]["auroc"] < 0.5
    assert record["detection_scores"]["ratio_with_silence"]["silence_is_likelier"] == []


def test_an_absent_source_is_silence_with_noise(gaussians: PriorSet, data: Any) -> None:
    rows = cross_likelihood.out_of_distribution_inputs(data, (), 5)
    found = detection_scores.absent(gaussians, scorers_of(gaussians.priors), rows, 0.1, 3)
    noise = noise_like(np.zeros((5, LENGTH, 1), np.float32), 3, "silence", 0)[..., 0]
    expected = -0.5 * np.mean(noise**2, axis=1) - np.log(0.1 * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(found["silence"][:, 0], expected, rtol=1e-5)
    table, silence = {"x": np.log([[0.5, 0.5], [0.9, 0.1]])}, {"x": np.log([[0.5], [0.2]])}
    ratio = detection_scores.likelihood_ratio(table, 1, silence)["x"]
    np.testing.assert_allclose(np.exp(ratio), [[1.0, 1.0], [2.25, 0.25]])


@pytest.mark.slow
def test_the_ideal_prior_is_tested_too(gaussians: PriorSet, data: Any) -> None:
    record = run.run(gaussians, data, PriorTestSettings(num_examples=6, sigmas=[0.1]))
    assert record["ideal"]["accuracy"] == 1.0 and record["ideal"]["domain"] == "wave"
    for source in PAIR:
        assert record["ideal"]["log_prob"][source][source] > record["log_prob"][source][source]
    assert all(ratio > 1.0 for ratio in record["denoising"]["ratio_to_ideal"]["prior"])
    text = tables.as_text(record)
    assert "ideal, own" in text and "wiener / ideal" in text


def test_a_stationary_gaussian_is_its_wiener_filter(record: dict[str, Any]) -> None:
    """Fitted to other excerpts of the same source, hence not the same numbers."""
    table = record["denoising"]
    assert "ideal" not in table["mean"]
    np.testing.assert_allclose(table["mean"]["prior"], table["mean"]["wiener"], rtol=0.05)


def test_the_error_of_a_gaussian_has_its_closed_form(gaussians: PriorSet, kinds: dict[str, Any]) -> None:
    """E|D(y) - x|^2 / D = mean of P sigma^2 / (P + sigma^2) for signals drawn from the prior itself."""
    prior = gaussians.priors["sine"]
    x = prior.sample(4000, (0, 0), 1e-3).numpy()
    noise = noise_like(x, 0, "x")
    power = prior.power.numpy()
    for sigma in (0.1, 1.0):
        error = PriorScorer("sine", prior).denoise(x + sigma * noise, sigma) - x
        assert np.mean(error**2) == pytest.approx(np.mean(power * sigma**2 / (power + sigma**2)), rel=0.05)


def test_gibbs_bound_is_reached_by_the_noise_itself(kinds: dict[str, Any]) -> None:
    rows = np.array(gibbs_rows(PriorScorer("x", kinds["noisy"](np.full(64, 0.09))), 64, 0))
    spreads, variance = rows[:, 0], 0.09 + 0.01**2
    expected = -0.5 * (spreads**2 / variance + np.log(2 * np.pi * variance))
    np.testing.assert_allclose((rows[:, 1] - expected) / np.maximum(1.0, spreads**2 / variance), 0.0, atol=0.02)
    np.testing.assert_allclose(rows[:, 2], [bound(s) for s in spreads])
    assert np.all(rows[:, 1] <= rows[:, 2] + 1e-3)
    assert rows[3, 1] == pytest.approx(rows[3, 2], abs=1e-3)


def test_priors_with_only_a_score_are_named_and_scored(data: Any, gaussians: PriorSet, kinds: Any) -> None:
    powers = {source: prior.power.numpy() for source, prior in gaussians.priors.items()}
    priors = {s: kinds["noisy"](power, has_log_prob=False) for s, power in powers.items()}
    quiet = replace(data, level=0.5)
    found = run.run(replace(gaussians, priors=priors), quiet, PriorTestSettings(num_examples=20))
    assert found["without_density"] == list(PAIR) and found["log_prob"] == {} and found["gibbs_bound"] == {}
    assert found["method"] == "denoising_error" and set(found["detection_scores"]) == {"denoising_error", "score_norms"}
    assert found["accuracy"] == found["detection_scores"]["denoising_error"]["accuracy"] > 0.5
    assert "ideal" not in found and found["level"] == 0.5
    text = tables.as_text(found)
    assert "only a score, no density: sine, square" in text and "score_norms" in text


def test_clean_priors_are_compared_without_noise_levels(data: Any, gaussians: PriorSet, kinds: Any) -> None:
    priors = {s: kinds["clean"](prior.power.numpy()) for s, prior in gaussians.priors.items()}
    settings = PriorTestSettings(num_examples=8, sigmas=[None, 0.1])
    found = run.run(replace(gaussians, priors=priors), replace(data, level=0.5), settings)
    assert found["without_noise"] == list(PAIR) and found["sigma"] is None
    assert "denoising_error" not in found["detection_scores"] and "prior" not in found["denoising"]["mean"]
    waves = replace(data, level=0.5).excerpts("sine", 8)[..., np.newaxis]
    expected = np.mean(priors["square"].log_prob(waves)) / LENGTH
    assert found["log_prob"]["square"]["sine"] == pytest.approx(expected, abs=1e-4)
    tables.as_text(found)


def test_a_record_is_the_same_every_time_and_made_of_json(record: dict[str, Any], gaussians: Any, data: Any) -> None:
    again = run.run(gaussians, data, PriorTestSettings(num_examples=70, with_ideal=False))
    first, second = ({**each, "seconds": 0.0} for each in (record, again))
    assert json.dumps(first, allow_nan=False) == json.dumps(second, allow_nan=False)
    text = tables.as_text(record)
    assert text.startswith("gaussians on toy: 70 excerpts a source, seed 3, domain wave, sigma 0.02\n")
    assert "likelihood_ratio" in text and "denoising rmse" in text and "ideal" not in text


def test_a_background_is_the_denominator(gaussians: PriorSet, data: Any, kinds: Any) -> None:
    power = np.mean([prior.power.numpy() for prior in gaussians.priors.values()], axis=0)
    tested = replace(gaussians, background=kinds["noisy"](power))
    rows = cross_likelihood.source_inputs(data, PAIR, 10)
    scorers = scorers_of(tested.priors)
    table = cross_likelihood.tables(tested, scorers, rows, [0.1], 0)[0.1]
    found = detection_scores.from_density(tested, scorers, data, rows, table, 0.1, 10)["ratio_with_background"]
    pooled = cross_likelihood.tables(tested, {"b": PriorScorer("b", tested.background)}, rows, [0.1], data.seed)[0.1]
    np.testing.assert_allclose(found["sine"], table["sine"] - pooled["sine"])
    even = detection_scores.likelihood_ratio({"x": np.log([[0.5, 0.5], [0.9, 0.1]])}, 1)["x"]
    np.testing.assert_allclose(np.exp(even), [[1.0, 1.0], [1.8, 0.2]])


def test_windows_cover_an_excerpt(gaussians: PriorSet, data: Any) -> None:
    waves = np.arange(150, dtype=np.float32)[np.newaxis] * np.ones((2, 1), np.float32)
    events = gaussians.events(waves)
    assert events.shape == (6, LENGTH, 1)
    np.testing.assert_array_equal(events[:3, 0, 0], [0, 43, 86])
    assert events[2, -1, 0] == 149
    longer = replace(data, length=150)
    rows = cross_likelihood.source_inputs(longer, PAIR, 3)
    scorers = scorers_of(gaussians.priors)
    table = cross_likelihood.tables(gaussians, scorers, rows, [None], 0)[None]
    expected = (
        scorers["sine"].log_prob(gaussians.events(longer.excerpts("square", 3)), None).reshape(3, 3).mean(1) / LENGTH
    )
    np.testing.assert_allclose(table["square"][:, 0], expected)


def test_excerpts_are_held_out_and_do_not_depend_on_their_number(data: Any) -> None:
    held_out = data.excerpts("sine", 70)
    assert held_out.shape == (70, LENGTH) and len(np.unique(held_out[:, 7])) > 60
    np.testing.assert_array_equal(held_out[:5], data.excerpts("sine", 5))
    training = data.excerpts("sine", 64, "training")
    np.testing.assert_array_equal(training, toy.ToyData(RATE, sources=PAIR).draw("sine", 64, LENGTH, (3, 0)))
    assert not (training[:, np.newaxis] == held_out).all(-1).any()
    loud = replace(data, level=0.2).excerpts("square", 4)
    np.testing.assert_allclose(excerpts.rms(loud), 0.2, rtol=1e-5)
    assert data.mean_level(64) == pytest.approx(np.sqrt((0.5 + 1.0) / 2) * 0.9, rel=0.1)


def test_a_shifted_excerpt_is_higher_by_half_a_semitone(data: Any) -> None:
    longer = replace(data, length=8000)
    plain, shifted = longer.excerpts("sine", 3), next(longer.shifted("sine", 3, 50.0))
    assert shifted.shape == plain.shape
    for before, after in zip(plain, shifted, strict=True):
        peaks = [np.abs(np.fft.rfft(wave * np.hanning(8000), 2**18)).argmax() for wave in (before, after)]
        assert peaks[1] / peaks[0] == pytest.approx(2 ** (50 / 1200), rel=1e-3)


@pytest.mark.parametrize("fault", ["one", "domain", "shape", "rate", "source", "short", "sigma"])
def test_what_cannot_be_compared_is_refused(gaussians: PriorSet, data: Any, kinds: Any, fault: str) -> None:
    sine, square = gaussians.priors.values()
    stft = type("Stft", (kinds["noisy"],), {"domain": "log_stft"})(np.ones(LENGTH))
    stft.domain = "log_stft"
    changes: dict[str, Any] = {
        "one": {"priors": {"sine": sine}},
        "domain": {"priors": {"sine": sine, "square": stft}},
        "shape": {"priors": {"sine": sine, "square": kinds["noisy"](np.ones(32))}},
    }
    said = {
        "one": r"at least two priors, 'gaussians' has 1 \(sine\)",
        "domain": "'sine' is over 'wave' events .* 'square' over 'log_stft'",
        "shape": r"events \(64, 1\), 'square' over 'wave' events \(32, 1\)",
        "rate": "'gaussians' has priors at 16000 Hz, 'toy' is at 22050 Hz",
        "source": "has a prior of 'square', the data 'toy' have sine",
        "short": r"'wave' events \(64, 1\) of 64 samples, an excerpt of 'toy' has 32",
        "sigma": "sigma must be in 0.01..10 for the prior of 'sine', got 11",
    }
    others = {
        "rate": replace(data, sample_rate=22050),
        "source": excerpts.toy_excerpts(("sine",), RATE, LENGTH, 0, False),
        "short": replace(data, length=32),
    }
    settings = PriorTestSettings(num_examples=4, sigmas=[11.0])
    with pytest.raises(InputError, match=said[fault]):
        run.run(replace(gaussians, **changes.get(fault, {})), others.get(fault, data), settings)


def test_a_density_that_is_no_number_names_its_prior() -> None:
    class Broken(tf.Module):
        largest_sigma, smallest_sigma, has_log_prob, event_shape = 1.0, 0.1, True, (4, 1)

        def log_prob(self, x: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
            return tf.math.log(-sigma)

    with pytest.raises(JobError, match="log_prob of the prior of 'sine' must be numbers, got nan at sigma 0.5"):
        PriorScorer("sine", Broken()).log_prob(np.zeros((3, 4, 1)), 0.5)  # type: ignore[arg-type]


def test_a_track_of_a_split_is_held_out_from_it(tmp_path: Path) -> None:
    for track, level in (("one", 0.1), ("two", 0.2)):
        with files.Writer(tmp_path / "train" / track / "bass.wav", 8000, 1) as writer:
            writer.write(np.full((1, 8000), level, np.float32) * np.where(np.arange(8000) < 4000, 1.0, 0.1 + level))
    splits = {"split": "train", "training_split": "train"}
    whole = excerpts.folder_excerpts(tmp_path, ("bass",), 8000, 100, 1, **splits)
    assert whole.training is whole.held_out
    data = excerpts.folder_excerpts(tmp_path, ("bass",), 8000, 100, 1, **splits, tracks=("two",))
    for split, level in ((excerpts.HELD_OUT, 0.3), (excerpts.TRAINING, 0.2)):
        found = np.abs(data.excerpts("bass", 64, split)).min()
        assert found == pytest.approx(0.1 * level / np.sqrt((1 + level**2) / 2), rel=1e-2)


def test_excerpts_of_a_folder(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for split, track in (("test", "a"), ("train", "b")):
        for name in ("bass", "drums"):
            sound = rng.normal(size=(1, 24000)).astype(np.float32) * 0.1
            sound[:, 8000:] *= name == "drums"
            with files.Writer(tmp_path / split / track / f"{name}.wav", 8000, 1) as writer:
                writer.write(sound)
    data = excerpts.folder_excerpts(tmp_path, ("bass", "drums"), 8000, 500, 1)
    assert data.name == tmp_path.name and data.excerpts("bass", 66).shape == (66, 500)
    assert np.all(excerpts.rms(data.excerpts("bass", 66)) > excerpts.AUDIBLE)
    assert not np.array_equal(data.excerpts("drums", 2), data.excerpts("drums", 2, "training"))
    with pytest.raises(InputError, match="priors are at 16000 Hz and .* at 8000 Hz"):
        excerpts.folder_excerpts(tmp_path, ("bass",), 16000, 500, 1)
    alone = excerpts.folder_excerpts(tmp_path, ("bass", "drums"), 8000, 500, 1, tracks=("a",))
    np.testing.assert_array_equal(alone.excerpts("bass", 4), data.excerpts("bass", 4))
    np.testing.assert_array_equal(alone.excerpts("bass", 4, "training"), data.excerpts("bass", 4, "training"))
    with pytest.raises(InputError, match="has an audible 'bass' stem"):
        excerpts.folder_excerpts(tmp_path, ("bass",), 8000, 500, 1, tracks=("b",))
    faster = excerpts.folder_excerpts(tmp_path, ("bass",), 16000, 500, 1, resampled=True)
    assert faster.excerpts("bass", 2).shape == (2, 500)
    quiet = tmp_path / "test" / "a" / "bass.wav"
    with files.Writer(quiet, 8000, 1) as writer:
        writer.write(np.concatenate([np.full((1, 20), 0.3), np.zeros((1, 23980))], axis=1).astype(np.float32))
    with pytest.raises(InputError, match="64 excerpts of 'bass' with an RMS above 0.001 were asked"):
        excerpts.folder_excerpts(tmp_path, ("bass", "drums"), 8000, 500, 1).excerpts("bass", 64)
