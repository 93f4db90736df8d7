"""Hide optional packages from this process; Python imports it at the start of every process whose path holds it.

``tests/conftest.py`` puts this folder on the path when ``TFSEP_HIDE_PROGRAMS`` is set.
"""

from __future__ import annotations

from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

PACKAGES = ("fast_bss_eval", "mido", "museval", "pyworld")
_find_spec = PathFinder.find_spec


def find_spec(name: str, *where: Any, **named: Any) -> ModuleSpec | None:
    """Return what is known of a module, or None as for one that is not installed."""
    return None if name.partition(".")[0] in PACKAGES else _find_spec(name, *where, **named)


PathFinder.find_spec = staticmethod(find_spec)  # type: ignore[method-assign,assignment]
