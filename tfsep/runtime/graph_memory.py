"""How much memory a graph may hold for each segment that it is given: an upper bound, read from the graph.

All results of a graph's operations that have the batch as their first axis are added up, those of the graphs within it
(loops, branches, calls) once each, as if nothing were freed before the end. That is what a gradient comes near to; a
network that only runs forward holds less. The figure depends on the graph alone, not on what a machine happens to do,
so a batch chosen by it is the same everywhere.
"""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf


def bytes_held(function: Any, rows: int) -> int:
    """Bytes that a concrete function's results take with ``rows`` in place of the unknown batch."""
    return _held(function.graph, rows, set())


def bytes_of(sample: Any, segment: int, num_samples: int) -> int:
    """Bytes that a posterior's ``sample`` may hold for one segment, by tracing it."""
    mixture, seed = tf.TensorSpec([None, segment], tf.float32), tf.TensorSpec([2], tf.int32)
    traced = tf.function(lambda mixture, seed: sample(mixture, num_samples, seed), autograph=False)
    return bytes_held(traced.get_concrete_function(mixture, seed), num_samples)


def _held(graph: Any, rows: int, seen: set[str]) -> int:
    total = 0
    for operation in graph.get_operations():
        for output in operation.outputs:
            if output.shape.rank and output.shape[0] is None:
                known = math.prod(size for size in output.shape[1:] if size is not None)
                total += rows * known * max(output.dtype.size, 1)
        for attribute in operation.node_def.attr.values():
            called = [attribute.func.name, *(each.name for each in attribute.list.func)]
            for name in filter(None, called):
                inner = graph._get_function(name)
                if name not in seen and inner is not None and hasattr(inner, "graph"):
                    seen.add(name)
                    total += _held(inner.graph, rows, seen)
    return total
