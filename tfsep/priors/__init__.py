"""Source priors, each built by name.

The kinds are imported when the first of them is used: a model whose posterior needs no prior does
not load TensorFlow Probability.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfsep.priors.base import Prior

if TYPE_CHECKING:
    from tfsep.priors.registry import KINDS, LEARNERS, build, describe_parameters, parameters

__all__ = ["KINDS", "LEARNERS", "Prior", "build", "describe_parameters", "parameters"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tfsep.priors import registry

    return getattr(registry, name)
