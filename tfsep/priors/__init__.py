"""Source priors, each built by name."""

from tfsep.priors.base import Prior
from tfsep.priors.registry import KINDS, build

__all__ = ["KINDS", "Prior", "build"]
