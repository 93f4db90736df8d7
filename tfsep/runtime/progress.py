"""Progress of annealed samplers, reported to an observer.

A schedule is one compiled loop and returns to the host at its end. While there is an observer it is
run in :data:`PARTS` parts of a few levels, one program called again for each: the draws are the
same, bit for bit, as the random numbers belong to the level and not to the part. Within a graph
nothing can be reported, so the loop stays whole.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import TypeAlias

import tensorflow as tf

#: Is called with the kind of the sampler, the number of its levels that are done, and the number of all.
Observer: TypeAlias = Callable[[str, int, int], object]
PARTS = 20
_observer: contextvars.ContextVar[Observer | None] = contextvars.ContextVar("observer", default=None)


@contextlib.contextmanager
def reporting_to(observer: Observer) -> Iterator[None]:
    """Report the progress of the samplers that run in this block to ``observer``."""
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)


def is_observed() -> bool:
    """Tell whether there is an observer, and the code runs outside graphs."""
    return _observer.get() is not None and not tf.inside_function()


def parts(kind: str, num_levels: int) -> Iterator[tuple[int, int]]:
    """Yield the levels to run at a time, as (first, last + 1), and report after each of them."""
    step = -(-num_levels // PARTS) if is_observed() else num_levels
    for first in range(0, num_levels, step):
        last = min(first + step, num_levels)
        yield first, last
        if (observer := _observer.get()) and is_observed():
            observer(kind, last, num_levels)
