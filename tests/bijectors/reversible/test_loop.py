"""Which steps of a chain become a loop: repeated blocks of one signature, in the block that covers most."""

from __future__ import annotations

import contextlib

import pytest

from tfsep.bijectors.reversible.functional_step import Concatenate, Element, FunctionalStep, Split
from tfsep.bijectors.reversible.loop import RepeatedBlocks, with_loops


def chain(signatures: str) -> list[Element]:
    """Return one step a letter, "-" being like no other; "(" and ")" are a split."""
    splits = {"(": Split(1), ")": Concatenate()}

    def step(signature: str | None) -> FunctionalStep:
        return FunctionalStep(
            lambda values: pytest.fail("made"), lambda values: contextlib.nullcontext(), signature=signature
        )

    return [splits.get(letter) or step(None if letter == "-" else letter) for letter in signatures]


def shape(signatures: str) -> list[str]:
    """Return a repetition as its block and count, all else as its letter."""
    found = []
    for part in with_loops(chain(signatures)):
        if isinstance(part, RepeatedBlocks):
            found.append("".join(str(step.signature) for step in part.steps) + str(len(part.blocks)))
        elif isinstance(part, FunctionalStep):
            found.append(str(part.signature or "-"))
        else:
            found.append("(" if isinstance(part, Split) else ")")
    return found


@pytest.mark.parametrize(
    ("signatures", "expected"),
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
def test_repeated_blocks_become_a_loop(signatures: str, expected: list[str]) -> None:
    assert shape(signatures) == expected


def test_every_step_keeps_its_position() -> None:
    steps = chain("abab(cc)")
    flat: list[object] = []
    for part in with_loops(steps):
        flat += [step for block in part.blocks for step in block] if isinstance(part, RepeatedBlocks) else [part]
    assert flat == steps
