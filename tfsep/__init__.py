"""Music source separation with deep generative priors, learned from isolated sources alone.

``import tfsep`` is instant: what is named here is imported when it is first used, and TensorFlow with it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfsep import audio, axes, data, errors, metrics, mixing, models, posteriors, priors, separation
    from tfsep.models.listing import list_models
    from tfsep.models.store import Model, load_prior
    from tfsep.posteriors.base import Posterior
    from tfsep.priors.base import Prior
    from tfsep.separation.separator import Separator

__version__ = "0.1.0"
__all__ = [
    "Model",
    "Posterior",
    "Prior",
    "Separator",
    "__version__",
    "audio",
    "axes",
    "data",
    "errors",
    "list_models",
    "load_prior",
    "metrics",
    "mixing",
    "models",
    "posteriors",
    "priors",
    "separation",
]

_ATTRIBUTES = {
    "Model": "tfsep.models.store",
    "Posterior": "tfsep.posteriors.base",
    "Prior": "tfsep.priors.base",
    "Separator": "tfsep.separation.separator",
    "list_models": "tfsep.models.listing",
    "load_prior": "tfsep.models.store",
}
_SUBMODULES = ("audio", "axes", "data", "errors", "metrics", "mixing", "models", "posteriors", "priors", "separation")


def __getattr__(name: str) -> object:
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
    """Return the public names, those not imported yet among them."""
    return sorted({*globals(), *_ATTRIBUTES, *_SUBMODULES})
