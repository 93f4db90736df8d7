"""Further studies of priors, on densities whose answers are known."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep import posteriors
from tfsep.errors import InputError
from tfsep.evaluation.prior_scorer import PriorScorer, noise_like, scorers_of
from tfsep.evaluation.prior_set import PriorSet
from tfsep.models.store import save_model
from tfsep.prior_test import cross_likelihood, curvature, run, single_signals, without_log_det
from tfsep.prior_test.record import STUDIES
from tfsep.prior_test.reference_classifier import LogisticRegression, ReferenceClassifier
from tfsep.prior_test.run import PriorTestSettings, Subject

LENGTH, RATE = 64, 16000
PAIR = ("sine", "square")


class ScalingFlow:
    """N(0, (s^2 + sigma^2) I) as a flow that scales: its latents are the data over the deviation."""

    kind, domain, has_log_prob, dimensions = "scaling", "wave", True, LENGTH
    event_shape, smallest_sigma, largest_sigma = (LENGTH, 1), 0.01, 10.0

    def __init__(self, spread: float, front_end: Any) -> None:
        self.spread, self.front_end = spread, front_end
        self.analyse = lambda wave: front_end.analyse(wave)[0]

    def _std(self, x: tf.Tensor, sigma: Any) -> tf.Tensor:
        level = tf.broadcast_to(tf.cast(self.smallest_sigma if sigma is None else sigma, tf.float32), tf.shape(x)[:1])
        return tf.sqrt(self.spread**2 + level**2)

    def encode(self, x: Any, sigma: Any = None) -> tuple[tf.Tensor, tf.Tensor]:
        std = self._std(x, sigma)
        return x / std[:, tf.newaxis, tf.newaxis], -LENGTH * tf.math.log(std)

    def decode(self, z: Any, sigma: Any = None) -> tf.Tensor:
        return z * self._std(z, sigma)[:, tf.newaxis, tf.newaxis]

    def log_prob(self, x: Any, sigma: Any = None) -> tf.Tensor:
        z, log_det = self.encode(x, sigma)
        return log_det - 0.5 * tf.reduce_sum(z**2, axis=[1, 2]) - 0.5 * LENGTH * math.log(math.tau)

    def score(self, x: Any, sigma: Any = None) -> tf.Tensor:
        return -x / (self._std(x, sigma) ** 2)[:, tf.newaxis, tf.newaxis]

    def denoise(self, x: Any, sigma: Any) -> tf.Tensor:
        return x * (self.spread**2 / self._std(x, sigma) ** 2)[:, tf.newaxis, tf.newaxis]


@pytest.fixture(scope="module")
def flows(gaussians: PriorSet) -> PriorSet:
    """Two flows of which the narrow one is the better for no source once its log-determinant is gone."""
    front_end = gaussians.priors["sine"].front_end
    made: Any = {"sine": ScalingFlow(0.6, front_end), "square": ScalingFlow(0.9, front_end)}
    return PriorSet("scaling", made, RATE, LENGTH)


def test_without_its_log_determinant_a_wide_flow_wins_everything(flows: PriorSet, data: Any) -> None:
    subject = Subject(flows, scorers_of(flows.priors), data, 0.1, PriorTestSettings(num_examples=20))
    by_weight = run.study_without_log_det(subject)["by_weight"]
    left_out, _, right = by_weight
    assert [each["weight"] for each in by_weight] == [0.0, 0.25, 1.0]
    for source in PAIR:
        assert left_out["log_prob"]["square"][source] > left_out["log_prob"]["sine"][source]
    assert left_out["accuracy"] == 0.5 < right["accuracy"]
    waves = data.excerpts("sine", 20)
    noise = noise_like(waves[..., np.newaxis], data.seed, "sine")[..., 0]
    z = (waves + 0.1 * noise) / np.sqrt(0.6**2 + 0.1**2)
    latent = np.mean(-0.5 * z**2) - 0.5 * math.log(math.tau)
    det = -0.5 * math.log(0.6**2 + 0.1**2)
    for each in by_weight:
        assert each["log_prob"]["sine"]["sine"] == pytest.approx(latent + each["weight"] * det, abs=1e-5)
    assert right["gibbs_excess"]["sine"] < 1e-3


def test_a_flow_that_shrinks_breaks_the_bound_without_its_log_determinant(flows: PriorSet, data: Any) -> None:
    """Of N(0, 9 I) a flow that divides by 3 leaves N(0, I): a gain of log 3 over the noise's own density."""
    front_end = flows.priors["sine"].front_end
    made: Any = {"sine": ScalingFlow(3.0, front_end), "square": ScalingFlow(2.0, front_end)}
    subject = Subject(replace(flows, priors=made), scorers_of(made), data, 0.1, PriorTestSettings(num_examples=2))
    excess = [each["gibbs_excess"]["sine"] for each in run.study_without_log_det(subject)["by_weight"]]
    np.testing.assert_allclose(excess, [math.log(3.0), 0.75 * math.log(3.0), 0.0], atol=1e-3)


def test_the_curvature_of_a_gaussian_is_its_sharpest_direction(gaussians: PriorSet, data: Any) -> None:
    scorer, prior = PriorScorer("sine", gaussians.priors["sine"]), gaussians.priors["sine"]
    found = curvature.curvature(scorer, gaussians.events(data.excerpts("sine", 3)), 0.5, 0)
    smallest = float(prior.power.numpy().min())
    assert found.shape == (3,)
    np.testing.assert_allclose(found, -1.0 / (smallest + 0.25), rtol=0.02)


def test_paths_of_a_gaussian_are_parabolas(gaussians: PriorSet, flows: PriorSet, data: Any) -> None:
    rows = curvature.study(flows, scorers_of(flows.priors), data, 8, (0.1, 20.0))
    assert [(row["source"], row["sigma"]) for row in rows] == [("sine", 0.1), ("square", 0.1)]
    row = rows[0]
    assert row["curvature"] == pytest.approx(0.01 / (0.36 + 0.01), rel=1e-3)
    decibels, variance = row["paths"]["decibels"], 0.37
    power = np.mean(data.excerpts("sine", 8) ** 2)
    louder = decibels["nats"][-1] - decibels["nats"][3]
    assert louder == pytest.approx(-0.5 * power * (10 ** (6 / 10) - 1) / variance, rel=0.05)
    line = row["paths"]["line"]["nats"]
    assert row["dip"] == pytest.approx(0.5 * (line[0] + line[-1]) - min(line)) and row["dip"] <= 0.05
    assert abs(row["latent_dip"]) < abs(line[4] - line[0])
    assert set(row["paths"]) == {"line", "latent", "delay", "cents", "decibels"}
    plain = curvature.study(gaussians, scorers_of(gaussians.priors), data, 4, (0.1,))[0]
    assert "latent" not in plain["paths"] and plain["latent_dip"] is None
    mean = (rows[0]["curvature"] + rows[1]["curvature"]) / 2
    assert curvature.mean_curvatures(rows) == [[0.1, pytest.approx(mean)]]


def test_a_path_between_latents_has_its_ends(flows: PriorSet, data: Any) -> None:
    scorer = PriorScorer("sine", flows.priors["sine"])
    first, second = (flows.events(data.excerpts("sine", 4)[part]) for part in (slice(0, 2), slice(2, 4)))
    path = list(curvature.between_latents(scorer, first, second, 0.1))
    np.testing.assert_allclose(path[0], first, atol=1e-5)
    np.testing.assert_allclose(path[-1], second, atol=1e-5)
    np.testing.assert_allclose(path[4], (first + second) / math.sqrt(2.0), atol=1e-5)


def test_langevin_draws_from_the_posterior_of_a_gaussian(flows: PriorSet) -> None:
    """Clean events of variance 0.36 in noise of variance 1: mean 0.265 y, variance 0.265."""
    scorer = PriorScorer("sine", flows.priors["sine"])
    rng = np.random.default_rng(0)
    clean = 0.6 * rng.normal(size=(256, LENGTH, 1))
    noised = clean + rng.normal(size=clean.shape)
    drawn = single_signals.langevin(scorer, noised, 1.0, 0)
    shrink = 0.36 / 1.36
    residual = drawn - shrink * noised
    assert np.var(residual) == pytest.approx(shrink, rel=0.1)
    assert abs(np.mean(residual * noised)) < 0.05
    mean = single_signals.gain(shrink * noised, noised, clean)
    assert 2.0 < mean - single_signals.gain(drawn, noised, clean) < 3.5


def test_gains_are_tabled_for_the_noise_levels_of_a_prior(gaussians: PriorSet, data: Any) -> None:
    rows = single_signals.table(gaussians, scorers_of(gaussians.priors), data, 8, (1.0, 0.01, 50.0))
    assert [(row["source"], row["sigma"]) for row in rows] == [("sine", 1.0), ("square", 1.0)]
    power = np.mean(data.excerpts("square", 8) ** 2, axis=1)
    assert rows[1]["snr"] == pytest.approx(np.mean(10 * np.log10(power)), abs=1e-4)
    for row in rows:
        assert row["tweedie"] > row["langevin"]
        assert row["tweedie"] == pytest.approx(row["wiener"], abs=0.5)


def test_logistic_regression_finds_the_odds_of_two_gaussians() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 4000)
    features = rng.normal(size=(8000, 1)) + 2.0 * labels[:, np.newaxis]
    model = LogisticRegression(features, labels, 2)
    log_odds = np.diff(model.log_prob(np.array([[0.0], [1.0], [2.0]])), axis=1)[:, 0]
    np.testing.assert_allclose(log_odds, [-2.0, 0.0, 2.0], atol=0.2)
    np.testing.assert_allclose(np.exp(model.log_prob(features[:5])).sum(axis=1), 1.0)


def test_the_reference_classifier_does_not_depend_on_loudness(data: Any) -> None:
    longer = replace(data, length=2048)
    classifier = ReferenceClassifier(longer, PAIR, 64)
    table = classifier.table(cross_likelihood.source_inputs(longer, PAIR, 40))
    assert cross_likelihood.discrimination(table, PAIR)["accuracy"] > 0.9
    waves = longer.excerpts("square", 3)
    features = [classifier.features(scale * waves)[:, :32] for scale in (1.0, 0.1)]
    np.testing.assert_allclose(*features, atol=0.1)
    swapped = classifier.classify_stems({"sine": longer.excerpts("square", 30), "square": longer.excerpts("sine", 30)})
    assert swapped["accuracy"] < 0.1 and swapped["log_prob"]["square"]["sine"] > swapped["log_prob"]["sine"]["sine"]


def test_the_stems_of_a_model_are_classified(gaussians: PriorSet, data: Any, tmp_path: Path) -> None:
    masks = {"kind": "amortised", "network_settings": {"width": 8, "num_blocks": 1}}
    built = posteriors.build(num_sources=2, segment=LENGTH, gains=(0.5, 0.5), **masks)
    save_model(tmp_path / "m", PAIR, RATE, LENGTH, (0.5, 0.5), posteriors=[(masks, built)])
    longer = replace(data, length=1024)
    settings = PriorTestSettings(num_examples=8, model=str(tmp_path / "m"))
    subject = Subject(gaussians, {}, longer, 0.1, settings)
    found = run.study_reference_classifier(subject)
    assert found["posterior"] == "amortised" and sum(found["stems"]["confusion"]["sine"].values()) == 8
    assert found["excerpts"]["accuracy"] > 0.5
    alone = replace(subject, settings=replace(settings, model=None))
    assert "stems" not in run.study_reference_classifier(alone)


def test_stems_are_classified_at_the_level_of_sources(data: Any) -> None:
    """Stems sum to the mixture, so they carry its gains, which a classifier with a noise floor would notice."""

    class Half:
        sources, gains = PAIR, (0.25, 0.75)

        def separate_batch(self, mixtures: np.ndarray, seed: int) -> np.ndarray:
            return np.stack([0.25 * mixtures, 0.75 * mixtures], axis=1)[np.newaxis]

    found = run.separated(Half(), data, 3)  # type: ignore[arg-type]
    mixture = 0.25 * data.excerpts("sine", 3) + 0.75 * data.excerpts("square", 3)
    for name in PAIR:
        np.testing.assert_allclose(found[name], mixture, atol=1e-6)


def test_studies_are_chosen_by_name_and_by_what_suits(gaussians: PriorSet, flows: PriorSet) -> None:
    assert run.suited(["all"], flows) == STUDIES
    assert "without_log_det" not in run.suited(["all"], gaussians)
    assert run.suited(["single", "single"], gaussians) == ("single",)
    with pytest.raises(InputError, match="needs at least two flows, 'gaussians' has 0"):
        run.suited(["without_log_det"], gaussians)
    assert not without_log_det.is_codec(PriorScorer("sine", gaussians.priors["sine"]))
