"""Context variable: where the operation being traced will run (plain graph, XLA, XLA loop, stacked).

An operation is part of a plain graph (:data:`GRAPH`), of a program that XLA compiles (:data:`XLA`),
of a loop of such a program (:data:`XLA_LOOP`), or of a call that is vectorised over several models
(:data:`STACKED`). The code that begins such a trace declares it with :func:`entering`, and
:func:`current` reads it. A program can be built for another device than this machine's:
:func:`targeting` declares it, :func:`target_device` reads it. Each thread has a context and a
target device of its own.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

GRAPH, XLA, XLA_LOOP, STACKED = "graph", "xla", "xla loop", "stacked"
CONTEXTS = (GRAPH, XLA, XLA_LOOP, STACKED)
_context: contextvars.ContextVar[str] = contextvars.ContextVar("trace_context", default=GRAPH)
_target: contextvars.ContextVar[str | None] = contextvars.ContextVar("target_device", default=None)


def current() -> str:
    """Return the context of what is traced now, one of :data:`CONTEXTS`."""
    return _context.get()


@contextlib.contextmanager
def entering(context: str) -> Iterator[None]:
    """Declare the context of what is traced in this block; within :data:`STACKED` it stays that.

    Raises:
        ValueError: for a name that is none of :data:`CONTEXTS`.
    """
    if context not in CONTEXTS:
        raise ValueError(f"a trace context must be one of {', '.join(CONTEXTS)}, got {context!r}")
    token = _context.set(STACKED if current() == STACKED else context)
    try:
        yield
    finally:
        _context.reset(token)


@contextlib.contextmanager
def entering_loop() -> Iterator[None]:
    """Declare that what is traced in this block is the body of a loop in the current context."""
    with entering(XLA_LOOP if current() == XLA else current()):
        yield


def target_device() -> str | None:
    """Return the kind of device, such as "GPU", that is traced for; None is whatever this machine has."""
    return _target.get()


@contextlib.contextmanager
def targeting(device: str | None) -> Iterator[None]:
    """Declare the kind of device on which what is traced in this block will run; None is whatever this machine has."""
    token = _target.set(device)
    try:
        yield
    finally:
        _target.reset(token)
