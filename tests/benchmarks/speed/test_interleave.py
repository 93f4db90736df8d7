"""Turns are taken in turn, ratios are paired by rounds, and models that differ are not compared."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from benchmarks.speed.interleave import Turn, disagreement, interleave, median, paired, refuse_unequal
from tfsep.errors import InputError, JobError


def recorder(order: list[str], name: str, seconds: float) -> Callable[[], Turn]:
    def take() -> Turn:
        order.append(name)
        return Turn(seconds, 2 * seconds)

    return take


def turns(*walls: float, cpu: float = 1.0) -> list[Turn]:
    return [Turn(wall, cpu) for wall in walls]


def test_every_round_gives_each_one_turn_and_begins_with_the_next() -> None:
    order: list[str] = []
    pauses: list[float] = []
    takers = {name: recorder(order, name, number) for number, name in enumerate("abc", start=1)}
    found = interleave(takers, rounds=4, pause=0.5, sleep=pauses.append)
    assert "".join(order) == "abcbcacababc"
    assert pauses == [0.5] * 12
    assert {name: [turn.wall for turn in taken] for name, taken in found.items()} == {
        "a": [1, 1, 1, 1],
        "b": [2, 2, 2, 2],
        "c": [3, 3, 3, 3],
    }


@pytest.mark.parametrize(("names", "rounds"), [("ab", 0), ("", 3)])
def test_nothing_to_interleave_is_refused(names: str, rounds: int) -> None:
    takers = {name: recorder([], name, 1.0) for name in names}
    with pytest.raises(InputError, match="at least 1 round"):
        interleave(takers, rounds, sleep=lambda _: None)


def test_a_slow_minute_does_not_move_a_paired_ratio() -> None:
    ours, peer = turns(1.0, 1.0, 9.0, 9.0), turns(2.0, 2.0, 18.0, 18.0)
    assert paired(ours, peer).median == 2.0
    ratio = paired(turns(1.0, 2.0, 4.0), turns(3.0, 4.0, 4.0))
    assert (ratio.median, ratio.low, ratio.high) == (2.0, 1.5, 2.5)


def test_processor_time_has_a_ratio_of_its_own() -> None:
    assert paired(turns(1.0, 1.0, cpu=2.0), turns(3.0, 3.0, cpu=8.0), "cpu").median == 4.0
    assert median(turns(1.0, 5.0, 2.0)) == 2.0
    assert median(turns(1.0, cpu=3.0), "cpu") == 3.0


@pytest.mark.parametrize(("ours", "peer"), [((), ()), ((1.0,), (1.0, 2.0))])
def test_turns_that_do_not_pair_are_refused(ours: tuple[float, ...], peer: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="equally many turns"):
        paired(turns(*ours), turns(*peer))


def test_disagreement_is_relative_above_one() -> None:
    assert disagreement([0.5, 100.0], [0.5, 101.0]) == pytest.approx(0.01)
    assert disagreement([0.5], [0.6]) == pytest.approx(0.1)
    assert disagreement([], []) == 0.0


@pytest.mark.parametrize("peer", [[1.0], [1.0, math.nan], [1.0, math.inf], [1.0, 2.0, 3.0]])
def test_what_cannot_be_compared_disagrees_without_end(peer: list[float]) -> None:
    assert disagreement([1.0, 2.0], peer) == math.inf
    with pytest.raises(JobError, match="must agree"):
        refuse_unequal("row", [1.0, 2.0], peer)


def test_models_that_differ_are_refused_with_the_difference() -> None:
    assert refuse_unequal("row", [-1.0], [-1.00005]) == pytest.approx(5e-5)
    with pytest.raises(JobError, match="row, eager: .* within 0.0001, they differ by 0.001: not timed"):
        refuse_unequal("row, eager", [-1.0], [-1.001])
