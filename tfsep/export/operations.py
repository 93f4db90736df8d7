"""Which operations a served graph may have: those of :mod:`tfsep.export.allowed`, without Python, XLA or files."""

from __future__ import annotations

from collections.abc import Iterator

import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from tfsep.errors import InputError
from tfsep.export.allowed import ALLOWED

_PYTHON = frozenset(("EagerPyFunc", "PyFunc", "PyFuncStateless"))
_XLA_ATTRIBUTE = "_XlaMustCompile"


def operations_of(graph: graph_pb2.GraphDef) -> set[str]:
    """Return the names of all operations of a graph and of its functions."""
    functions = {function.signature.name for function in graph.library.function}
    return {node.op for node in _nodes(graph)} - functions


def refuse_unservable(signature: tf.types.experimental.ConcreteFunction) -> None:
    """Check that TensorFlow Serving can run a concrete function.

    Raises:
        InputError: if it calls Python, demands compilation by XLA, or has an operation that is not
            allowed.
    """
    graph = signature.graph.as_graph_def()
    found = operations_of(graph)
    if found & _PYTHON:
        raise InputError("a served graph must not call Python, this posterior's does (tf.py_function)")
    attributes = [function.attr for function in graph.library.function]
    attributes += [node.attr for node in _nodes(graph)]
    if any(_XLA_ATTRIBUTE in attribute and attribute[_XLA_ATTRIBUTE].b for attribute in attributes):
        raise InputError("a served graph must not ask for XLA, this posterior's does (jit_compile=True)")
    refused = sorted(found - ALLOWED)
    if refused:
        raise InputError(f"a served graph must only compute, this posterior's has the operations {', '.join(refused)}")


def _nodes(graph: graph_pb2.GraphDef) -> Iterator[graph_pb2.NodeDef]:
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def
