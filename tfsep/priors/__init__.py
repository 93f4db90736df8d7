"""Source priors, each built by name.

The kinds are imported with the first of them that is asked for: a model whose posterior needs no prior does without
TensorFlow Probability.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfsep.priors.base import Prior

if TYPE_CHECKING:
    from tfsep.priors.registry import KINDS, LEARNERS, build

__all__ = ["KINDS", "LEARNERS", "Prior", "build"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tfsep.priors import registry

    return getattr(registry, name)
