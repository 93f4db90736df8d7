"""Which stages of a chain become a loop: neighbours of one form, in the period that covers most."""

from __future__ import annotations

import contextlib

import pytest

from tfsep.bijectors.reversible.loop import Repeated, folded
from tfsep.bijectors.reversible.stages import Join, Leave, Stage


def chain(forms: str) -> list[Stage | Leave | Join]:
    """One stage a letter, "-" being like no other; "(" and ")" are a split."""
    splits = {"(": Leave(1), ")": Join()}

    def stage(form: str | None) -> Stage:
        return Stage(lambda lent: pytest.fail("made"), lambda lent: contextlib.nullcontext(), form=form)

    return [splits.get(form) or stage(None if form == "-" else form) for form in forms]


def shape(forms: str) -> list[str]:
    """A repetition as its period and count, all else as its letter."""
    found = []
    for part in folded(chain(forms)):
        if isinstance(part, Repeated):
            found.append("".join(str(stage.form) for stage in part.stages) + str(len(part.periods)))
        elif isinstance(part, Stage):
            found.append(str(part.form or "-"))
        else:
            found.append("(" if isinstance(part, Leave) else ")")
    return found


@pytest.mark.parametrize(
    ("forms", "expected"),
    [
        ("", []),
        ("ab", ["a", "b"]),
        ("aaa", ["a3"]),
        ("abab", ["ab2"]),
        ("abcabcab", ["abc2", "a", "b"]),
        ("aabaab", ["aab2"]),
        ("abababx", ["ab3", "x"]),
        ("--", ["-", "-"]),
        ("-aa(bb)aa", ["-", "a2", "(", "b2", ")", "a2"]),
        ("a-a-", ["a", "-", "a", "-"]),
    ],
)
def test_neighbours_of_one_form_become_a_loop(forms: str, expected: list[str]) -> None:
    assert shape(forms) == expected


def test_every_stage_keeps_its_place() -> None:
    stages = chain("abab(cc)")
    flat: list[object] = []
    for part in folded(stages):
        flat += [stage for period in part.periods for stage in period] if isinstance(part, Repeated) else [part]
    assert flat == stages
