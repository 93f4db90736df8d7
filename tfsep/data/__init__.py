"""Isolated sources as waveforms: data sets, random excerpts of them, and batches.

A module is imported when it is first used: bin/render needs no TensorFlow, the data sets do.
"""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = ["musdb", "pipeline", "sounds", "stems", "toy"]


def __getattr__(name: str) -> ModuleType:
    """Import a module of this package at its first use (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'tfsep.data' has no attribute {name!r}")
    return importlib.import_module(f"tfsep.data.{name}")
