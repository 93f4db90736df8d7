"""The tables of prior quality: which ideal prior belongs to a model, and what they say."""

from __future__ import annotations

from typing import Any

from benchmarks.priors import prior_quality

RECORD: dict[str, Any] = {
    "model": "m",
    "kinds": "glow",
    "num_examples": 8,
    "num_denoised": 4,
    "seed": 0,
    "waves": "2 samples",
    "domain": "wave",
    "accuracy": 0.5,
    "accuracy_per_source": {"sine": 0.5},
    "own": {"0.1": {"sine": 0.5}},
    "denoising": {"sigmas": [1.0, 0.1], "mean": {"prior": [None, 0.2], "wiener": [0.5, 0.4]}},
}
BEST: dict[str, Any] = {
    **RECORD,
    "model": prior_quality.IDEAL,
    "kinds": "ideal_toy",
    "own": {"0.1": {"sine": 0.75}},
    "denoising": {"sigmas": [1.0, 0.1], "mean": {"prior": [0.3, 0.1], "wiener": [0.5, 0.4]}},
}


def test_an_ideal_prior_is_that_of_the_same_excerpts() -> None:
    assert prior_quality.ideal_of(RECORD, [RECORD, BEST]) is BEST
    for other in ({"waves": "3 samples"}, {"num_examples": 9}, {"seed": 1}):
        assert prior_quality.ideal_of({**RECORD, **other}, [RECORD, BEST]) is None


def test_the_tables_compare_a_prior_with_the_ideal_one() -> None:
    text = prior_quality.tables([RECORD, BEST])
    assert "| m | glow | wave | 8 | 50.0 % | sine 50.0 % |" in text
    assert "| m | wave | 4 | - | 0.2000 | -, 2.00 | -, 0.50 |" in text
    assert "| ideal prior | wave | 4 | 0.3000 | 0.1000 | 1.00, 1.00 | 0.60, 0.25 |" in text
    assert "| m | 0.500 | 0.750 | 0.250 |" in text
    assert text.index("ideal prior") < text.index("| m |")


def test_spectrograms_have_no_ideal_prior() -> None:
    text = prior_quality.tables([{**RECORD, "domain": "log_stft"}, BEST])
    assert "| m | log_stft | 4 | - | 0.2000 | - | -, 0.50 |" in text
    assert "| m | 0.500" not in text
