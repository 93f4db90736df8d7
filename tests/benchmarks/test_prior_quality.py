"""The tables of prior quality: what is taken over from earlier records, and what they say."""

from __future__ import annotations

from typing import Any

from benchmarks import prior_quality

SCORES: dict[str, Any] = {
    "domain": "wave",
    "accuracy": 0.5,
    "accuracy_per_source": {"sine": 0.5},
    "own": {"0.1": {"sine": 0.5}},
    "denoising": {"sigmas": [1.0], "mean": {"prior": [0.2]}},
}
IDEAL = {**SCORES, "own": {"0.1": {"sine": 0.75}}, "denoising": {"sigmas": [1.0], "mean": {"prior": [0.1]}}}
RECORD = {"model": "m", "kinds": "glow", "num_examples": 8, "seed": 0, "waves": "2 samples", **SCORES, "ideal": IDEAL}


def test_ideal_priors_are_taken_over_for_as_many_cuts_of_the_same_seed() -> None:
    assert prior_quality.known_ideals([RECORD], 8, 0) == {"2 samples": IDEAL}
    assert prior_quality.known_ideals([RECORD], 9, 0) == prior_quality.known_ideals([RECORD], 8, 1) == {}
    assert prior_quality.known_ideals([{name: RECORD[name] for name in RECORD if name != "waves"}], 8, 0) == {}


def test_the_tables_set_a_prior_beside_the_ideal_one() -> None:
    text = prior_quality.tables([RECORD])
    assert "| m | glow | wave | 8 | 50.0 % | sine 50.0 % | 50.0 % |" in text
    assert "| m | wave | prior | 0.2000 (2.00) |" in text
    assert "| m | 0.500 | 0.750 | 0.250 |" in text
