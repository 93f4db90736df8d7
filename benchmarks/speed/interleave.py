r"""Timing things against each other in turns, so that whatever else the machine does falls on all of them.

Each round gives every participant one turn, and the next round begins with the next participant. Two are compared by
the ratio within a round, :math:`r_i = b_i / a_i`, and the median of the :math:`r_i`: a slow minute of the machine is in
both terms of a ratio, while medians taken apart would meet it by chance.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfsep.errors import InputError, JobError


@dataclass(frozen=True)
class Turn:
    """Seconds of one unit of work: on the wall, and of processor time over all threads."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Ratio:
    """Median and quartiles of paired ratios."""

    median: float
    low: float
    high: float


def interleave(
    turns: Mapping[str, Callable[[], Turn]],
    rounds: int,
    pause: float = 0.05,
    sleep: Callable[[float], object] = time.sleep,
) -> dict[str, list[Turn]]:
    """Take ``rounds`` turns of each participant.

    Args:
        turns: name -> what takes one turn.
        rounds: at least 1.
        pause: seconds between turns, in which the last participant's idle threads stop spinning.
        sleep: waits so long.

    Returns:
        name -> its turns, by rounds.

    Raises:
        InputError: without a round or a participant.
    """
    if rounds < 1 or not turns:
        raise InputError(f"interleaving needs a participant and at least 1 round, got {len(turns)} and {rounds}")
    names = list(turns)
    found: dict[str, list[Turn]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in (*names[first:], *names[:first]):
            sleep(pause)
            found[name].append(turns[name]())
    return found


def paired(ours: Sequence[Turn], peer: Sequence[Turn], which: str = "wall") -> Ratio:
    """peer / ours by rounds; above 1 we are faster. ``which`` is "wall" or "cpu".

    Raises:
        InputError: unless there are equally many turns of both.
    """
    if not ours or len(ours) != len(peer):
        raise InputError(f"pairs need equally many turns of both, at least one, got {len(ours)} and {len(peer)}")
    ratios = [getattr(b, which) / getattr(a, which) for a, b in zip(ours, peer, strict=True)]
    low, median, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    return Ratio(float(median), float(low), float(high))


def median(turns: Sequence[Turn], which: str = "wall") -> float:
    """Median seconds of a unit."""
    return float(np.median([getattr(turn, which) for turn in turns]))


def disagreement(ours: Sequence[float], peer: Sequence[float]) -> float:
    """Largest difference of two lists of numbers, relative where they are above 1; infinite if one is not finite."""
    a, b = np.asarray(ours, np.float64), np.asarray(peer, np.float64)
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("inf")
    return float(np.max(np.abs(a - b) / np.maximum(1.0, np.abs(a)), initial=0.0))


def refuse_unequal(row: str, ours: Sequence[float], peer: Sequence[float], tolerance: float = 1e-4) -> float:
    """Return the disagreement of two participants.

    Raises:
        JobError: above ``tolerance``; times of two different models are not comparable.
    """
    found = disagreement(ours, peer)
    if not found <= tolerance:
        raise JobError(f"{row}: the two models must agree within {tolerance:g}, they differ by {found:.3g}: not timed")
    return found
