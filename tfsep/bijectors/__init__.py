"""Invertible maps, each a ``tfb.Bijector`` with ``forward`` from latent to data, built around borrowed weights."""

from tfsep.bijectors.actnorm import ActNorm
from tfsep.bijectors.coupling import Coupling
from tfsep.bijectors.invertible_conv import InvertibleConv
from tfsep.bijectors.multiscale import Multiscale
from tfsep.bijectors.noise_scale import NoiseScale
from tfsep.bijectors.squeeze import Squeeze
from tfsep.bijectors.step import Composition, Step

__all__ = [
    "ActNorm",
    "Composition",
    "Coupling",
    "InvertibleConv",
    "Multiscale",
    "NoiseScale",
    "Squeeze",
    "Step",
]
