"""Find what comes with tfsep beside its code: gin files, models and examples.

A wheel holds them as package data below ``tfsep/share``; in a clone they are the top-level folders.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def bundled_folder(name: str) -> Path:
    """Return the folder ``name`` ("gin", "models" or "examples") of this installation or clone.

    The package's own folder goes first: beside an installed package lie other packages, gin among them.
    """
    installed = _PACKAGE / "share" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name
