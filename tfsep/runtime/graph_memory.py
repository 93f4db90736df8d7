"""How much memory a graph may use for each segment that it is given: an upper bound, read from the graph.

All results of a graph's operations that have the batch as their first axis are added up, those of
the graphs within it (loops, branches, calls) once each, as if nothing were freed before the end. A
gradient comes near to that; a network that only runs forward uses less. The figure depends on the
graph alone, not on the machine, so a batch chosen by it is the same everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import tensorflow as tf

from tfsep.axes import Seed, Sources, Waves


def bytes_held(function: tf.types.experimental.ConcreteFunction, rows: int) -> int:
    """Return the bytes of all results of a concrete function with ``rows`` in place of the unknown batch."""
    return _held(function.graph, rows, set())


def bytes_of(sample: Callable[[Waves, int, Seed], Sources], segment: int, num_samples: int) -> int:
    """Return the bytes that a posterior's ``sample`` may use for one segment, by tracing it."""
    mixture, seed = tf.TensorSpec([None, segment], tf.float32), tf.TensorSpec([2], tf.int32)
    traced = tf.function(lambda mixture, seed: sample(mixture, num_samples, seed), autograph=False)
    return bytes_held(traced.get_concrete_function(mixture, seed), num_samples)


def _held(graph: tf.Graph, rows: int, seen: set[str]) -> int:
    """Add up the results of a graph and of those that it calls, but for the functions ``seen`` already."""
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
