"""Source priors, each built by name."""

from tfsep.priors.base import Prior
from tfsep.priors.registry import KINDS, LEARNERS, build

__all__ = ["KINDS", "LEARNERS", "Prior", "build"]
