"""Priors of one architecture evaluated as one give what each gives alone; others are evaluated one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep import posteriors, priors
from tfsep.priors.base import evaluate_priors

FLOW: dict[str, Any] = {"kind": "glow", "length": 16, "squeeze": 4, "num_steps": 1, "width": 4, "num_layers": 1}
KINDS: dict[str, dict[str, Any]] = {
    "glow": FLOW,
    "glow_inverse": {**FLOW, "recompute": "inverse"},
    "realnvp_film": {**FLOW, "kind": "realnvp", "conditioning": "film"},
    "lifting": {
        **{"kind": "lifting", "length": 16, "num_levels": 1, "squeeze": 4, "num_steps": 1, "width": 8},
        **{"num_blocks": 1, "local_width": 4, "local_layers": 1, "local_block": 4, "trunk": {"width": 4}},
    },
    "score": {"kind": "score", "length": 16, "width": 8, "num_blocks": 1, "local_width": 4, "local_layers": 1}
    | {"local_block": 4},
}

SLOW = ("glow_inverse", "lifting")


def built(count: int, **settings: Any) -> list[Any]:
    """Priors with random weights, each with its own."""
    random, found = np.random.default_rng(2), []
    for _ in range(count):
        prior: Any = priors.build(**settings)
        for weight in prior.trainable_variables:
            weight.assign_add(0.1 * random.normal(size=weight.shape))
        found.append(prior)
    return found


def noise(count: int) -> tf.Tensor:
    return tf.constant(np.random.default_rng(3).normal(size=(count, 3, 16, 1)), tf.float32)


def evaluated(each: list[Any], method: str, x: tf.Tensor, sigma: Any, stacked: bool = False) -> tf.Tensor:
    return tf.stack(evaluate_priors(each, method, tf.unstack(x), sigma, stacked))


@pytest.mark.parametrize("method", ["score", "denoise"])
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in sorted(KINDS)]
)
def test_stacked_evaluations_are_those_of_the_loop(name: str, method: str) -> None:
    each = built(3, **KINDS[name])
    assert each[0].same_architecture(each)
    x, sigma = noise(3), tf.constant(0.3)
    expected = evaluated(each, method, x, sigma).numpy()
    found = tf.function(lambda x: evaluated(each, method, x, sigma, stacked=True), autograph=False)(x)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_the_stack_follows_the_weights() -> None:
    """The stack is made at every call: weights that are loaded later count."""
    each = built(2, **FLOW)
    traced = tf.function(lambda x: evaluated(each, "score", x, 0.3, stacked=True), autograph=False)
    before = traced(noise(2)).numpy()
    each[1].set_weights(each[0].get_weights())
    after = traced(noise(2)).numpy()
    np.testing.assert_array_equal(after[0], before[0])
    assert np.abs(after[1] - before[1]).max() > 1e-3


@pytest.mark.parametrize(
    "other",
    [{**FLOW, "width": 8}, {**FLOW, "bound": 2.0}, {"kind": "gaussian", "length": 16, "variances": 0.3}],
    ids=["width", "bound", "kind"],
)
def test_priors_that_differ_are_evaluated_one_by_one(other: dict[str, Any]) -> None:
    each = [*built(1, **FLOW), priors.build(**other)]
    assert not each[0].same_architecture(each)
    expected = evaluated(each, "score", noise(2), 0.3).numpy()
    found = tf.function(lambda x: evaluated(each, "score", x, 0.3, stacked=True), autograph=False)(noise(2))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


SAMPLERS: dict[str, dict[str, Any]] = {
    "langevin": {"num_steps": 2},
    "diffusion": {},
    "gibbs": {"update": "jacobi", "num_restarts": 1},
}


@pytest.mark.parametrize("kind", sorted(SAMPLERS))
@pytest.mark.slow
def test_samplers_give_the_same_with_stacked_priors(kind: str) -> None:
    each, mixture = built(2, **FLOW, num_levels=1, sigma_range=(0.01, 8.0)), noise(1)[0, :, :, 0]
    settings = {"priors": each, "largest_sigma": 1.0, "num_levels": 2, **SAMPLERS[kind]}
    samplers = [posteriors.build(kind, stacked=stacked, **settings) for stacked in (False, True)]
    expected, found = (sampler.sample(mixture, 1, [0, 1]) for sampler in samplers)
    np.testing.assert_allclose(found, expected, atol=1e-4)
