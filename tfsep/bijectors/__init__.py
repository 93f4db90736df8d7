"""Invertible maps: each a ``tfb.Bijector`` on weights held by Keras layers; ``forward`` maps latent to data."""

from tfsep.bijectors.actnorm import ActNorm
from tfsep.bijectors.autoregressive import InverseAutoregressive
from tfsep.bijectors.coupling import Coupling
from tfsep.bijectors.diagonal_scale import DiagonalScale
from tfsep.bijectors.halves import Halves
from tfsep.bijectors.invertible_conv import InvertibleConv
from tfsep.bijectors.multiscale import Multiscale
from tfsep.bijectors.noise_scale import NoiseScale
from tfsep.bijectors.planar import Planar
from tfsep.bijectors.real_fourier import RealFourier
from tfsep.bijectors.spectral_coupling import SpectralCoupling
from tfsep.bijectors.squeeze import Squeeze
from tfsep.bijectors.step import Composition, Step

__all__ = [
    "ActNorm",
    "Composition",
    "Coupling",
    "DiagonalScale",
    "Halves",
    "InverseAutoregressive",
    "InvertibleConv",
    "Multiscale",
    "NoiseScale",
    "Planar",
    "RealFourier",
    "SpectralCoupling",
    "Squeeze",
    "Step",
]
