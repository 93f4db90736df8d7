"""Posteriors over the sources of a mixture, each built by name."""

from tfsep.posteriors.base import Posterior
from tfsep.posteriors.registry import KINDS, build

__all__ = ["KINDS", "Posterior", "build"]
