"""Who hears how far an annealed sampler has come.

A schedule is one compiled loop and returns to the host at its end. While somebody listens it is run in
:data:`PARTS` parts of a few levels, one program called again for each: the draws are the same, bit for bit, as the
random numbers belong to the level and not to the part. Within a graph nobody can be told, so the loop stays whole.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator

import tensorflow as tf

Observer = Callable[[str, int, int], object]
"""Is told the kind of the sampler, how many of its levels are done, and how many there are."""
PARTS = 20
_observer: contextvars.ContextVar[Observer | None] = contextvars.ContextVar("observer", default=None)


@contextlib.contextmanager
def reporting_to(observer: Observer) -> Iterator[None]:
    """Tell ``observer`` of the samplers that run in this block."""
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)


def is_observed() -> bool:
    """Whether somebody listens, and can be told from here."""
    return _observer.get() is not None and not tf.inside_function()


def parts(kind: str, num_levels: int) -> Iterator[tuple[int, int]]:
    """The levels to run at a time, as (first, last + 1); who listens is told after each of them."""
    step = -(-num_levels // PARTS) if is_observed() else num_levels
    for first in range(0, num_levels, step):
        last = min(first + step, num_levels)
        yield first, last
        if (observer := _observer.get()) and is_observed():
            observer(kind, last, num_levels)
