"""Weights that float16 holds exactly are stored so, and others as they are: the answers are the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.export.test_signatures import decibels
from tfsep import posteriors
from tfsep.export.half_weights import HalfWeights
from tfsep.posteriors.composition import Composition


def masks() -> posteriors.Posterior:
    settings = {"network_settings": {"width": 8, "num_blocks": 1}, "temperature": [1.0, 1.0]}
    return posteriors.build("amortised", num_sources=2, segment=2048, gains=(0.5, 0.5), **settings)


@pytest.mark.parametrize("rounded", [True, False])
def test_only_what_float16_holds_is_stored_in_it(tmp_path: Path, rounded: bool) -> None:
    posterior = masks()
    wave = tf.constant(np.random.default_rng(0).normal(0.0, 0.1, (2, 2048)), tf.float32)
    seeds = tf.zeros([2, 2], tf.int32)
    posterior.sample(wave, 1, seeds)
    for variable in posterior.variables:
        values = variable.numpy() + 0.01
        variable.assign(values.astype(np.float16).astype(np.float32) if rounded else values)
    expected = posterior.sample(wave, 1, seeds)
    weights = HalfWeights(posterior)

    @tf.function(autograph=False)
    def served(mixture: tf.Tensor) -> tf.Tensor:
        with weights.reading():
            return posterior.sample(mixture, 1, seeds)

    read = [
        node.attr["dtype"].type for node in nodes(served.get_concrete_function(wave)) if node.op == "ReadVariableOp"
    ]
    assert read
    assert set(read) == {tf.float16.as_datatype_enum if rounded else tf.float32.as_datatype_enum}
    assert decibels(served(wave), expected) > 110.0


def nodes(graph: tf.types.experimental.ConcreteFunction) -> list[tf.compat.v1.NodeDef]:
    definition = graph.graph.as_graph_def()
    return [*definition.node, *(node for function in definition.library.function for node in function.node_def)]


def test_the_weights_of_the_stages_of_a_composition_are_found() -> None:
    composition = Composition([masks()])
    for variable in composition.stages[0].variables:
        variable.assign(np.ones(variable.shape))
    held = HalfWeights(composition)
    with held.reading() as scope:
        assert all(scope.get_current_value(variable) is not None for variable in composition.stages[0].variables)
