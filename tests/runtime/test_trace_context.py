"""Where traced operations will run."""

from __future__ import annotations

import pytest

from tfsep.runtime import trace_context


def test_a_context_lasts_as_long_as_its_block() -> None:
    assert trace_context.current() == trace_context.GRAPH
    with pytest.raises(KeyError), trace_context.entering(trace_context.XLA):
        assert trace_context.current() == trace_context.XLA
        raise KeyError
    assert trace_context.current() == trace_context.GRAPH


@pytest.mark.parametrize(
    ("around", "inside"),
    [("graph", "graph"), ("xla", "xla loop"), ("xla loop", "xla loop"), ("stacked", "stacked")],
)
def test_a_loop_of_a_compiled_program_is_a_context_of_its_own(around: str, inside: str) -> None:
    with trace_context.entering(around), trace_context.entering_loop():
        assert trace_context.current() == inside


def test_what_is_stacked_stays_stacked() -> None:
    with trace_context.entering(trace_context.STACKED), trace_context.entering(trace_context.XLA):
        assert trace_context.current() == trace_context.STACKED


def test_an_unknown_context_is_refused() -> None:
    with pytest.raises(ValueError, match="must be one of graph, xla, xla loop, stacked, got 'moon'"):
        trace_context.entering("moon").__enter__()


def test_the_target_is_this_machine_unless_another_is_declared() -> None:
    assert trace_context.target_device() is None
    with pytest.raises(KeyError), trace_context.targeting("GPU"):
        assert trace_context.target_device() == "GPU"
        raise KeyError
    assert trace_context.target_device() is None
