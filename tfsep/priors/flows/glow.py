r"""Glow: levels of (activation normalisation, invertible 1x1 convolution, affine coupling of channel halves).

Over waveforms the coupling networks are WaveNets, as in WaveGlow; over spectrograms gated 2-D
convolutions.

Sources: Kingma and Dhariwal 2018, section 3 and table 1; Prenger et al. 2018 (WaveGlow), section 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tfsep.bijectors.masks import Mask
from tfsep.priors.flows.flow_layers import ActNormLayer, CouplingLayer, FlowLayer, InvertibleConvLayer, NetworkFactory
from tfsep.priors.flows.multiscale import build_levels, level_factors
from tfsep.priors.flows.settings import CouplingFlowSettings


@dataclass(frozen=True, kw_only=True)
class GlowSettings(CouplingFlowSettings):
    """Settings of a Glow over (time, 1) or (frame, bin, 1).

    Every spatial axis must be divisible by squeeze * 2^(num_levels - 1).

    Attributes:
        seed: of the initial rotations.
    """

    kind: ClassVar[str] = "glow"
    seed: int = 0

    def layers(self, event_shape: tuple[int, ...]) -> list[FlowLayer]:
        """Build the layers; see :meth:`FlowSettings.layers`."""
        make_network = self.coupling_networks(event_shape)

        def make_steps(shape: tuple[int, ...], level: int) -> list[FlowLayer]:
            return glow_steps(shape, self.num_steps, make_network, self.bound, self.seed + 1000 * level, self.dtype)

        factors = level_factors(event_shape, self.squeeze, self.num_levels)
        return build_levels(event_shape, factors, make_steps, make_network, self.bound, self.dtype)


def glow_steps(
    shape: tuple[int, ...], num_steps: int, make_network: NetworkFactory, bound: float | None, seed: int, dtype: str
) -> list[FlowLayer]:
    """Build ``num_steps`` steps of Glow on events of ``shape``, channels last; rotations are drawn from ``seed`` on."""
    layers: list[FlowLayer] = []
    for step in range(num_steps):
        layers += [
            ActNormLayer(shape[-1], len(shape), dtype=dtype),
            InvertibleConvLayer(shape[-1], len(shape), seed=seed + step, dtype=dtype),
            CouplingLayer(shape, Mask("channel"), make_network, False, bound, dtype=dtype),
        ]
    return layers
