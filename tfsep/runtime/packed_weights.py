"""Who holds weights in long vectors: a fact for what could read them there, and which no variable carries.

A trainer lays its variables behind each other (``tfsep.training.flat_weights``) and says so with :func:`using` while an
objective is traced; a flow whose steps are a loop asks :func:`packed` for the places of its weights
(``tfsep.bijectors.reversible.stacked_parameters``). Each thread of control has a holder of its own, or none.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Position = tuple[int, int]


@dataclass(frozen=True)
class PackedWeights:
    """Long vectors in which variables lie.

    Attributes:
        position: variable -> number of its vector and its first entry there, or None.
        view: number of a vector, and the variables that are read from it -> the vector, as a tensor.
    """

    position: Callable[[Any], Position | None]
    view: Callable[[int, Sequence[Any]], Any]


_packed: contextvars.ContextVar[PackedWeights | None] = contextvars.ContextVar("packed_weights", default=None)


def packed() -> PackedWeights | None:
    """Whose vectors the variables lie in that are read now."""
    return _packed.get()


@contextlib.contextmanager
def using(by: PackedWeights) -> Iterator[None]:
    """What is traced in this block may read variables from the holder's vectors."""
    token = _packed.set(by)
    try:
        yield
    finally:
        _packed.reset(token)
