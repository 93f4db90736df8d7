"""Posteriors over the sources of a mixture, each built by name.

The kinds are imported at the first use of a name below, so that :mod:`tfsep.posteriors.kinds` needs
no TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfsep.posteriors.base import Posterior
    from tfsep.posteriors.registry import KINDS, build, describe_parameters, parameters

__all__ = ["KINDS", "Posterior", "build", "describe_parameters", "parameters"]


def __getattr__(name: str) -> object:
    """Import a public name at its first use (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module("tfsep.posteriors.base" if name == "Posterior" else "tfsep.posteriors.registry")
    return getattr(module, name)
