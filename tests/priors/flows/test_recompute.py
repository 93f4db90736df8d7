"""The setting ``recompute`` of flows: what it refuses, that it is kept, and that memory is flat in depth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.speed.recomputation import measured
from tfsep import priors
from tfsep.errors import InputError
from tfsep.models.store import load_prior, save_model

SMALL: dict[str, Any] = {
    "length": 16,
    "squeeze": 4,
    "num_levels": 2,
    "num_steps": 1,
    "width": 4,
    "num_layers": 1,
    "condition_width": 4,
}


def test_another_mode_is_refused() -> None:
    with pytest.raises(InputError, match="recompute must be one of none, step, inverse, scan, got 'all'"):
        priors.build("glow", recompute="all", **SMALL)


@pytest.mark.parametrize("number", [-1, 1.5])
def test_a_number_of_steps_that_is_none_is_refused(number: float) -> None:
    with pytest.raises(InputError, match=f"recompute_kept must be a whole number of at least 0, got {number}"):
        priors.build("glow", recompute="inverse", recompute_kept=number, **SMALL)


def test_steps_to_keep_where_all_are_kept_are_refused() -> None:
    with pytest.raises(InputError, match="recompute_kept must be 0 where nothing is recomputed"):
        priors.build("glow", recompute_kept=2, **SMALL)


def test_only_flows_recompute() -> None:
    with pytest.raises(InputError, match="only flows have steps"):
        priors.build("gaussian", length=16, variances=0.3, recompute="inverse")


def test_the_default_keeps_everything() -> None:
    prior: Any = priors.build("glow", **SMALL)
    assert prior.recompute == "none"


def test_a_derivative_of_the_score_is_refused() -> None:
    """The rebuilt inputs are cut off from the events, so that it would be wrong."""
    flow: Any = priors.build("glow", recompute="inverse", **SMALL)
    x = tf.ones((2, 16, 1))
    with tf.GradientTape() as tape:
        tape.watch(x)
        score = flow.score(x, 0.3)
    with pytest.raises(LookupError, match="recompute"):
        tape.gradient(score, x)


def test_a_model_folder_keeps_the_setting(tmp_path: Path) -> None:
    settings = {"kind": "glow", "recompute": "inverse", "recompute_kept": 2, **SMALL}
    prior: Any = priors.build(**settings)
    save_model(tmp_path / "model", ["one"], 16000, 16, [1.0], {"one": (settings, prior)}, [])
    loaded: Any = load_prior(tmp_path / "model", "one")
    assert (loaded.recompute, loaded.recompute_kept) == ("inverse", 2)
    x = np.random.default_rng(0).normal(size=(2, 16, 1))
    np.testing.assert_array_equal(loaded.score(x, 0.3), prior.score(x, 0.3))


@pytest.mark.slow
def test_memory_of_a_training_step_is_flat_in_depth() -> None:
    """Four times the couplings keep little more; without recomputation everything kept grows fourfold."""
    size = {"batch": 16, "length": 4096, "width": 32, "steps": 1}
    shallow, deep = (measured(couplings, "inverse", "graph", **size)["transient"] for couplings in (4, 16))
    kept = measured(16, "none", "graph", **size)["transient"]
    assert deep <= 1.5 * shallow and kept >= 4.0 * deep
