"""The stages that a composition keeps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep.evaluation import stage_selection
from tfsep.posteriors.base import Posterior
from tfsep.posteriors.composition import Composition

RNG = np.random.default_rng(0)
TRUTH = RNG.normal(size=(20, 2, 50)).astype(np.float32)
MIXTURES = TRUTH.mean(1)
ERROR = RNG.normal(size=TRUTH.shape).astype(np.float32)


class Near(Posterior):
    """Answers with the truth and an error of a given size, whatever it starts from."""

    gains, segment, num_sources = (0.5, 0.5), 50, 2

    def __init__(self, kind: str, error: float) -> None:
        self.kind, self.error = kind, error

    def sample(self, mixture: Any, num_samples: int, seed: Any, start: Any = None) -> tf.Tensor:
        first = int(np.flatnonzero((MIXTURES == mixture[0]).all(-1))[0])
        part = slice(first, first + len(mixture))
        return tf.constant(TRUTH[part] + self.error * ERROR[part])[tf.newaxis]


def choose(*errors: float) -> stage_selection.Choice:
    stages = [Near(kind, error) for kind, error in zip(("masks", "gibbs", "langevin"), errors, strict=False)]
    return stage_selection.choose(Composition(stages), MIXTURES, 0.5 * TRUTH)


@pytest.mark.parametrize(
    ("errors", "keep"),
    [((0.5, 0.1, 0.3), 2), ((0.1, 0.5, 0.3), 1), ((0.5, 0.7, 0.1), 3), ((0.3, 0.3), 1), ((0.3, float("nan")), 1)],
)
def test_the_best_prefix_is_kept_and_never_less_than_the_start(errors: tuple[float, ...], keep: int) -> None:
    choice = choose(*errors)
    assert choice.keep == keep and choice.num_mixtures == 20
    assert max(choice.si_sdri) == choice.si_sdri[keep - 1] >= choice.si_sdri[0]
    assert all(np.isfinite(choice.si_sdri))


def test_metrics_are_improvements_over_the_mixture() -> None:
    choice = choose(0.1)
    # An error of -20 dB over a mixture in which each source is as loud as the other: 20 - 0 dB.
    assert choice.si_sdri[0] == pytest.approx(20.0, abs=0.5)


def test_the_choice_is_printed_and_stored() -> None:
    choice = choose(0.5, 0.1, 0.3)
    said = str(choice)
    assert said.startswith("composition: masks ") and said.endswith("validation mixtures; keeps masks > gibbs")
    entry = stage_selection.kept_entry({"kind": "composition", "stages": ["masks"]}, choice)
    assert entry == {"kind": "composition", "stages": ["masks"], "keep": 2, "validation_si_sdri": list(choice.si_sdri)}


def test_what_cannot_be_measured_counts_nothing() -> None:
    """Of a single source the mixture is the answer."""
    assert stage_selection._mean(np.array([np.nan, np.nan])) == 0.0


def test_the_criterion_that_answers_best_is_taken_and_the_first_of_equals() -> None:
    samplers = {name: Near("gibbs", error) for name, error in (("residual", 0.5), ("density", 0.1))}
    chosen, found = stage_selection.best_criterion(samplers, MIXTURES, 0.5 * TRUTH)
    assert chosen == "density" and found["density"] - found["residual"] == pytest.approx(14.0, abs=0.5)
    alike = {name: Near("gibbs", 0.5) for name in ("residual", "density")}
    assert stage_selection.best_criterion(alike, MIXTURES, 0.5 * TRUTH)[0] == "residual"
