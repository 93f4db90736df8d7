"""The bound on the memory of a graph, and that of posteriors."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfsep import posteriors, priors
from tfsep.posteriors.composition import Composition
from tfsep.runtime.graph_memory import bytes_held


def test_results_of_the_batch_are_added_up_and_others_left_out() -> None:
    weights = tf.constant(1.0, shape=(3, 5))
    traced = tf.function(lambda x: tf.nn.relu(x @ weights), input_signature=[tf.TensorSpec([None, 3], tf.float32)])
    function = traced.get_concrete_function()
    kinds = [operation.type for operation in function.graph.get_operations()]
    outputs = sum(4 * 5 for kind in kinds if kind in ("MatMul", "Relu", "Identity"))
    assert "MatMul" in kinds and "Relu" in kinds
    assert bytes_held(function, 1) == 4 * 3 + outputs and bytes_held(function, 7) == 7 * (4 * 3 + outputs)


def test_a_loop_counts_once_however_often_it_runs() -> None:
    def traced(rounds: int) -> int:
        def loop(x: tf.Tensor) -> tf.Tensor:
            return tf.while_loop(lambda i, _: i < rounds, lambda i, x: (i + 1, tf.sin(x)), (0, x))[1]

        function = tf.function(loop, input_signature=[tf.TensorSpec([None, 9], tf.float32)], autograph=False)
        return bytes_held(function.get_concrete_function(), 1)

    assert traced(2) == traced(50) >= 2 * 4 * 9


def test_memory_grows_with_the_chains_of_a_segment() -> None:
    pair: list[Any] = [priors.build("gaussian", length=64, variances=1.0)] * 2
    one, four = (posteriors.build("gibbs", pair, num_levels=2, num_restarts=n).memory(1) for n in (1, 4))
    assert one is not None and four == 4 * one and one > 2 * 64 * 4
    few = posteriors.build("gibbs", pair, num_levels=2, num_restarts=1)
    many = posteriors.build("gibbs", pair, num_levels=2, num_restarts=4)
    assert few.memory(3) == 3 * one and Composition([few, many]).memory(1) == four
