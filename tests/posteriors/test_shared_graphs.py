"""Shared graphs give what the priors give, follow their weights, and are made once for an architecture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.priors.test_stacked import FLOW, built, noise
from tfsep import priors
from tfsep.errors import InputError
from tfsep.posteriors.shared_graphs import SharedGraphs
from tfsep.priors.base import Prior

SPECTRAL: dict[str, Any] = {"kind": "spectral_realnvp", "length": 64, "num_levels": 1, "width": 8, "num_blocks": 1}


def evaluated(each: list[Any], method: str, x: tf.Tensor, sigma: float) -> list[np.ndarray]:
    """Call the graphs from within a loop of a graph, as samplers do."""

    def once(x: tf.Tensor) -> list[tf.Tensor]:
        shared = SharedGraphs(each)

        def step(i: tf.Tensor, *_: tf.Tensor) -> tuple[tf.Tensor, ...]:
            return i + 1, *(shared(k, method, x[k], tf.constant(sigma)) for k in range(len(each)))

        shape = x.shape[1:] if method == "denoise" else x.shape[1:2]
        return list(tf.while_loop(lambda i, *_: i < 2, step, (0, *(tf.zeros(shape) for _ in each)))[1:])

    return [value.numpy() for value in tf.function(once, autograph=False)(x)]


@pytest.mark.parametrize("method", ["denoise", "log_prob"])
@pytest.mark.parametrize("settings", [FLOW, SPECTRAL], ids=["glow", "spectral"])
def test_each_gives_what_its_prior_gives(settings: dict[str, Any], method: str) -> None:
    each = built(3, **settings)
    x = tf.constant(np.random.default_rng(3).normal(size=(3, 2, settings["length"], 1)), tf.float32)
    for prior, events, found in zip(each, x, evaluated(each, method, x, 0.3), strict=True):
        np.testing.assert_allclose(found, getattr(prior, method)(events, 0.3), rtol=1e-4, atol=1e-4)


def test_priors_of_one_architecture_have_one_graph_and_others_their_own() -> None:
    each = [*built(2, **FLOW), *built(1, **{**FLOW, "width": 8})]
    evaluated(each, "denoise", noise(3), 0.3)
    graphs = [vars(prior)["_shared_graphs"] for prior in each]
    assert ["denoise by gradient" in names for names in graphs] == [True, False, True]


def test_wavetables_share_graphs_of_all_that_they_compute() -> None:
    settings = {"kind": "wavetable", "length": 16, "num_pitches": 2, "num_phases": 8, "table_size": 64, "num_rounds": 1}
    each = [priors.build(**settings) for _ in range(2)]
    each[1].table.assign(np.sign(each[1].table.numpy() + 1e-3))
    x = tf.constant(np.random.default_rng(3).normal(size=(2, 2, 16, 1)), tf.float32)
    beside = tf.constant(np.random.default_rng(4).normal(size=(2, 1, 16, 1)), tf.float32)
    shared = SharedGraphs(each)
    for method, more in (("log_prob", []), ("denoise_beside", [beside])):
        for k, prior in enumerate(each):
            found = shared(k, method, x[k], tf.constant(0.3), *more)
            np.testing.assert_allclose(found, getattr(prior, method)(x[k], 0.3, *more), rtol=1e-4, atol=1e-4)
    assert len(vars(each[0])["_shared_graphs"]) == 2 and "_shared_graphs" not in vars(each[1])


def test_a_score_that_is_set_later_counts() -> None:
    """Of one prior, and of one among priors that are alike else."""
    each = built(2, **SPECTRAL)
    x = tf.constant(np.random.default_rng(3).normal(size=(2, 2, 64, 1)), tf.float32)
    before = evaluated(each, "denoise", x, 0.3)[1]
    each[1].score_of = "gradient"
    assert not each[0].same_architecture(each)
    for prior, events, found in zip(each, x, evaluated(each, "denoise", x, 0.3), strict=True):
        np.testing.assert_allclose(found, prior.denoise(events, 0.3), rtol=1e-4, atol=1e-4)
    assert np.abs(each[1].denoise(x[1], 0.3) - before).max() > 1e-4


def test_weights_that_are_loaded_later_count() -> None:
    each, x = built(2, **FLOW), noise(2)
    before = evaluated(each, "denoise", x, 0.3)
    each[1].set_weights([0.5 * weight for weight in each[1].get_weights()])
    after = evaluated(each, "denoise", x, 0.3)
    np.testing.assert_array_equal(after[0], before[0])
    np.testing.assert_allclose(after[1], each[1].denoise(x[1], 0.3), atol=1e-5)
    assert np.abs(after[1] - before[1]).max() > 1e-3


def test_priors_that_are_no_keras_models_are_called_as_they_are() -> None:
    silent: Prior = priors.build(kind="ideal_toy", source="sine", length=16)
    found = SharedGraphs([silent])(0, "denoise", noise(1)[0], tf.constant(0.3))
    np.testing.assert_allclose(found, silent.denoise(noise(1)[0], 0.3), atol=1e-6)
    assert "_shared_graphs" not in vars(silent)


def test_a_prior_without_a_weight_vector_says_so() -> None:
    silent: Prior = priors.build(kind="ideal_toy", source="sine", length=16)
    assert not silent.has_weight_vector and not silent.same_architecture([silent, silent])
    with pytest.raises(InputError, match="prior 'ideal_toy' has no vector of weights"):
        silent.weight_vector()
    with pytest.raises(InputError, match="no vector of weights to evaluate denoise with"):
        silent.evaluate_with(tf.zeros(3), "denoise", noise(1)[0], 0.3)
