"""Where traced operations will run."""

from __future__ import annotations

import pytest

from tfsep import tracing


def test_a_place_lasts_as_long_as_its_block() -> None:
    assert tracing.place() == tracing.GRAPH
    with pytest.raises(KeyError), tracing.within(tracing.XLA):
        assert tracing.place() == tracing.XLA
        raise KeyError
    assert tracing.place() == tracing.GRAPH


@pytest.mark.parametrize(
    ("around", "inside"),
    [("graph", "graph"), ("xla", "xla loop"), ("xla loop", "xla loop"), ("stacked", "stacked")],
)
def test_a_loop_of_a_compiled_program_is_a_place_of_its_own(around: str, inside: str) -> None:
    with tracing.within(around), tracing.within_loop():
        assert tracing.place() == inside


def test_what_is_stacked_stays_stacked() -> None:
    with tracing.within(tracing.STACKED), tracing.within(tracing.XLA):
        assert tracing.place() == tracing.STACKED


def test_another_place_is_refused() -> None:
    with pytest.raises(ValueError, match="must be one of graph, xla, xla loop, stacked, got 'moon'"):
        tracing.within("moon").__enter__()


def test_what_is_traced_is_bound_for_this_machine_unless_it_is_said() -> None:
    assert tracing.target() is None
    with pytest.raises(KeyError), tracing.bound_for("GPU"):
        assert tracing.target() == "GPU"
        raise KeyError
    assert tracing.target() is None
