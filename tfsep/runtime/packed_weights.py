"""Context variable: the packed vectors from which a trace may read weights as views.

A trainer packs its variables one behind the other (:mod:`tfsep.training.packed_variables`) and says so
with :func:`using` while an objective is traced. A flow whose steps are a loop asks :func:`packed`
for the positions of its weights (:mod:`tfsep.bijectors.reversible.stacked_parameters`). Each thread
has packed weights of its own, or none.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import tensorflow as tf

#: Number of a vector, and the first entry of a variable in it.
Position: TypeAlias = tuple[int, int]


@dataclass(frozen=True)
class PackedWeights:
    """Vectors into which variables are packed.

    Attributes:
        position: variable -> its position, or None if it is not packed.
        view: number of a vector, and the variables that are read from it -> the vector, as a
            tensor.
    """

    position: Callable[[tf.Variable], Position | None]
    view: Callable[[int, Sequence[tf.Variable]], tf.Tensor]


_packed: contextvars.ContextVar[PackedWeights | None] = contextvars.ContextVar("packed_weights", default=None)


def packed() -> PackedWeights | None:
    """Return the packed weights from which variables may be read now; None where there are none."""
    return _packed.get()


@contextlib.contextmanager
def using(packed_weights: PackedWeights) -> Iterator[None]:
    """Let what is traced in this block read variables from packed weights."""
    token = _packed.set(packed_weights)
    try:
        yield
    finally:
        _packed.reset(token)
