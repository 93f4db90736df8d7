"""Who holds weights in long vectors: a fact for what could read them there, and which no variable carries.

A trainer lays its variables behind each other (``tfsep.training.flat_weights``) and says so with :func:`held` while an
objective is traced; a flow whose steps are a loop asks :func:`holder` for the places of its weights
(``tfsep.bijectors.rows``). Each thread of control has a holder of its own, or none.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Place = tuple[int, int]


@dataclass(frozen=True)
class Holder:
    """Long vectors in which variables lie.

    Attributes:
        place: variable -> number of its vector and its first entry there, or None.
        borrow: number of a vector, and the variables that are read from it -> the vector, as a tensor.
    """

    place: Callable[[Any], Place | None]
    borrow: Callable[[int, Sequence[Any]], Any]


_holder: contextvars.ContextVar[Holder | None] = contextvars.ContextVar("holder", default=None)


def holder() -> Holder | None:
    """Whose vectors the variables lie in that are read now."""
    return _holder.get()


@contextlib.contextmanager
def held(by: Holder) -> Iterator[None]:
    """What is traced in this block may read variables from the holder's vectors."""
    token = _holder.set(by)
    try:
        yield
    finally:
        _holder.reset(token)
