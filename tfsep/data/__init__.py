"""Isolated sources as waveforms: where they come from and how they are cut, drawn and batched.

A module is imported when it is first used: bin/render needs no TensorFlow, the data sets do.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["musdb", "pipeline", "sounds", "stems", "toy"]


def __getattr__(name: str) -> Any:
    """Import a module of this room at its first use (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'tfsep.data' has no attribute {name!r}")
    return importlib.import_module(f"tfsep.data.{name}")
