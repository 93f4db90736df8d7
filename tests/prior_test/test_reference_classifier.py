"""The reference classifier on excerpts and on separated stems."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tfsep import posteriors
from tfsep.evaluation.prior_set import PriorSet
from tfsep.models.store import save_model
from tfsep.prior_test import cross_likelihood, run
from tfsep.prior_test.reference_classifier import LogisticRegression, ReferenceClassifier
from tfsep.prior_test.run import PriorTestSettings, Subject

LENGTH, RATE = 64, 16000
PAIR = ("sine", "square")


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
