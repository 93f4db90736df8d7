"""Where an operation will run that is being traced: a fact which some layers need and no tensor carries.

An operation stands in a plain graph (:data:`GRAPH`), in a program that XLA compiles (:data:`XLA`), in a loop of such a
program (:data:`XLA_LOOP`), or in a call that is vectorised over several models (:data:`STACKED`). Whoever traces such a
thing says so with :func:`entering`; :func:`current` tells. A program can be built for another device than this
machine's (:func:`targeting`; :func:`target_device` tells). Each thread has a context and a target device of its own.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

GRAPH, XLA, XLA_LOOP, STACKED = "graph", "xla", "xla loop", "stacked"
CONTEXTS = (GRAPH, XLA, XLA_LOOP, STACKED)
_context: contextvars.ContextVar[str] = contextvars.ContextVar("place", default=GRAPH)
_target: contextvars.ContextVar[str | None] = contextvars.ContextVar("target", default=None)


def current() -> str:
    """Where what is traced now will run, one of :data:`CONTEXTS`."""
    return _context.get()


@contextlib.contextmanager
def entering(somewhere: str) -> Iterator[None]:
    """What is traced in this block runs in such a place; what is stacked already stays so.

    Raises:
        ValueError: for another place.
    """
    if somewhere not in CONTEXTS:
        raise ValueError(f"a place of tracing must be one of {', '.join(CONTEXTS)}, got {somewhere!r}")
    token = _context.set(STACKED if current() == STACKED else somewhere)
    try:
        yield
    finally:
        _context.reset(token)


@contextlib.contextmanager
def entering_loop() -> Iterator[None]:
    """What is traced in this block runs in a loop of the place around it."""
    with entering(XLA_LOOP if current() == XLA else current()):
        yield


def target_device() -> str | None:
    """The kind of device, such as "GPU", that what is traced now is bound for; None is whatever this machine has."""
    return _target.get()


@contextlib.contextmanager
def targeting(device: str | None) -> Iterator[None]:
    """What is traced in this block is to run on such a device, here or elsewhere."""
    token = _target.set(device)
    try:
        yield
    finally:
        _target.reset(token)
