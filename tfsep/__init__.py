"""Music source separation with deep generative priors, learned from isolated sources alone.

``import tfsep`` is instant: what is named here is imported when it is first used, and TensorFlow with it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfsep.models.store import load_prior
    from tfsep.separation.separator import Separator

__version__ = "0.1.0"
__all__ = ["Separator", "__version__", "load_prior"]

_ATTRIBUTES = {
    "Separator": "tfsep.separation.separator",
    "load_prior": "tfsep.models.store",
}
_SUBMODULES = ("audio", "axes", "data", "errors", "metrics", "mixing", "posteriors", "priors", "separation")


def __getattr__(name: str) -> Any:
    """Import a public name at its first use (PEP 562)."""
    if name in _ATTRIBUTES:
        value = getattr(importlib.import_module(_ATTRIBUTES[name]), name)
    elif name in _SUBMODULES:
        value = importlib.import_module(f"tfsep.{name}")
    else:
        raise AttributeError(f"module 'tfsep' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_ATTRIBUTES, *_SUBMODULES})
