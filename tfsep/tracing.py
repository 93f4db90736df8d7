"""Where an operation will run that is being traced: a fact which some layers need and no tensor carries.

An operation stands in a plain graph (:data:`GRAPH`), in a program that XLA compiles (:data:`XLA`), in a loop of such a
program (:data:`XLA_LOOP`), or in a call that is vectorised over several models (:data:`STACKED`). Whoever traces such a
thing says so with :func:`within`; :func:`place` tells. A program can be bound for another device than this machine's
(:func:`bound_for`; :func:`target` tells). Each thread of control has a place and a target of its own.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

GRAPH, XLA, XLA_LOOP, STACKED = "graph", "xla", "xla loop", "stacked"
PLACES = (GRAPH, XLA, XLA_LOOP, STACKED)
_place: contextvars.ContextVar[str] = contextvars.ContextVar("place", default=GRAPH)
_target: contextvars.ContextVar[str | None] = contextvars.ContextVar("target", default=None)


def place() -> str:
    """Where what is traced now will run, one of :data:`PLACES`."""
    return _place.get()


@contextlib.contextmanager
def within(somewhere: str) -> Iterator[None]:
    """What is traced in this block runs in such a place; what is stacked already stays so.

    Raises:
        ValueError: for another place.
    """
    if somewhere not in PLACES:
        raise ValueError(f"a place of tracing must be one of {', '.join(PLACES)}, got {somewhere!r}")
    token = _place.set(STACKED if place() == STACKED else somewhere)
    try:
        yield
    finally:
        _place.reset(token)


@contextlib.contextmanager
def within_loop() -> Iterator[None]:
    """What is traced in this block runs in a loop of the place around it."""
    with within(XLA_LOOP if place() == XLA else place()):
        yield


def target() -> str | None:
    """The kind of device, such as "GPU", that what is traced now is bound for; None is whatever this machine has."""
    return _target.get()


@contextlib.contextmanager
def bound_for(device: str | None) -> Iterator[None]:
    """What is traced in this block is to run on such a device, here or elsewhere."""
    token = _target.set(device)
    try:
        yield
    finally:
        _target.reset(token)
