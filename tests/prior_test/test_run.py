"""The prior test on priors whose every number is known."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep import metrics
from tfsep.errors import InputError, JobError
from tfsep.evaluation import excerpts
from tfsep.evaluation.prior_scorer import PriorScorer, noise_like, scorers_of
from tfsep.evaluation.prior_set import PriorSet
from tfsep.prior_test import cross_likelihood, heat_equation, run, tables, without_log_det
from tfsep.prior_test.record import STUDIES
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
    assert set(record["scores"]) == names | {"loudness", "ratio_with_silence"}
    for name in ("likelihood_ratio", "ratio_with_silence", "input_complexity"):
        assert record["scores"][name]["accuracy"] == record["accuracy"]
    for row in record["scores"].values():
        assert 0.0 <= row["accuracy"] <= 1.0 and set(row["auroc"]) == set(PAIR)
    assert set(record["out_of_distribution"]) == {
        "silence", "time_reversed", "pitch_shifted", *(f"noise_{s:g}" for s in cross_likelihood.NOISE_LEVELS)
    }  # fmt: skip


def test_silence_under_a_gaussian_is_its_likeliest_input(record: dict[str, Any]) -> None:
    assert record["silence_is_likelier"] == list(PAIR)
    assert record["out_of_distribution"]["silence"]["sine"]["auroc"] < 0.5
    assert record["scores"]["ratio_with_silence"]["silence_is_likelier"] == []


def test_gaussians_obey_the_heat_equation(record: dict[str, Any], gaussians: PriorSet, data: Any) -> None:
    study = record["heat_equation"]
    assert study["num_events"] == study["num_probes"] == 4 and study["left_out"] == []
    means, relative = heat_equation.study(gaussians, scorers_of(gaussians.priors), data, 4, 4)
    assert record["heat_residual"] == means and study["relative"] == relative["relative"]
    assert all(found < 4.0 * error for rows in study["relative"].values() for _, found, error in rows)
    text = tables.as_text(record)
    assert "residual of the heat equation" in text and "left out" not in text
    without = run.run(gaussians, data, PriorTestSettings(num_examples=4, num_probes=0, with_ideal=False))
    assert "heat_residual" not in without and "heat equation" not in tables.as_text(without)


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


def test_priors_with_only_a_score_are_named_and_scored(data: Any, gaussians: PriorSet, kinds: Any) -> None:
    powers = {source: prior.power.numpy() for source, prior in gaussians.priors.items()}
    priors = {s: kinds["noisy"](power, has_log_prob=False) for s, power in powers.items()}
    quiet = replace(data, level=0.5)
    found = run.run(replace(gaussians, priors=priors), quiet, PriorTestSettings(num_examples=20))
    assert found["without_density"] == list(PAIR) and found["log_prob"] == {} and found["gibbs_bound"] == {}
    assert found["method"] == "denoising_error" and set(found["scores"]) == {"denoising_error", "score_norms"}
    assert found["accuracy"] == found["scores"]["denoising_error"]["accuracy"] > 0.5
    assert "ideal" not in found and found["level"] == 0.5
    text = tables.as_text(found)
    assert "only a score, no density: sine, square" in text and "score_norms" in text
    assert found["heat_residual"] == {} and found["heat_equation"]["left_out"] == list(PAIR)
    assert "left out, for want of a log-density or of noise levels: sine, square" in text


def test_clean_priors_are_compared_without_noise_levels(data: Any, gaussians: PriorSet, kinds: Any) -> None:
    priors = {s: kinds["clean"](prior.power.numpy()) for s, prior in gaussians.priors.items()}
    settings = PriorTestSettings(num_examples=8, sigmas=[None, 0.1])
    found = run.run(replace(gaussians, priors=priors), replace(data, level=0.5), settings)
    assert found["without_noise"] == list(PAIR) and found["sigma"] is None
    assert "denoising_error" not in found["scores"] and "prior" not in found["denoising"]["mean"]
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


def test_studies_are_chosen_by_name_and_by_what_suits(gaussians: PriorSet, flows: PriorSet) -> None:
    assert run.suited(["all"], flows) == STUDIES
    assert "without_log_det" not in run.suited(["all"], gaussians)
    assert run.suited(["single", "single"], gaussians) == ("single",)
    with pytest.raises(InputError, match="needs at least two flows, 'gaussians' has 0"):
        run.suited(["without_log_det"], gaussians)
    assert not without_log_det.is_codec(PriorScorer("sine", gaussians.priors["sine"]))
