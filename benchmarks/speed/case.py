"""One thing to time: what a call does, how much of it is in one call, and what it must agree on with its peers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """A call that can be repeated.

    Attributes:
        once: does the work and returns when the results are in memory.
        per_call: units of work (steps, levels) in one call.
        check: numbers that every participant of a row must share, such as nats per dimension of the same events.
        prepared: seconds of tracing and compiling before the first call, which adds the rest.
        flops: floating point operations of one unit, those of matrix products and convolutions; None if not counted.
        device: what it runs on and by which library, where that is worth a record.
        rise: runs the work and says by how many bytes its memory rose above where it rested, for a library that keeps
            account; None lets the worker ask the kernel.
    """

    once: Callable[[], object]
    per_call: int = 1
    check: list[float] = field(default_factory=list)
    prepared: float = 0.0
    flops: float | None = None
    device: str | None = None
    rise: Callable[[], int] | None = None
