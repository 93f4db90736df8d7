r"""RealNVP: levels of affine couplings under alternating spatial (checkerboard) and channel masks.

Over waveforms the coupling networks are WaveNets, as in FloWaveNet; over spectrograms gated 2-D
convolutions. No rotation mixes the channels, so the masks alternate instead.

Sources: Dinh et al. 2017, sections 3.4 to 3.6; Kim et al. 2019 (FloWaveNet), section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tfsep.bijectors.masks import Mask
from tfsep.priors.flows.flow_layers import ActNormLayer, CouplingLayer, FlowLayer
from tfsep.priors.flows.multiscale import build_levels, level_factors
from tfsep.priors.flows.settings import CouplingFlowSettings


@dataclass(frozen=True, kw_only=True)
class RealNVPSettings(CouplingFlowSettings):
    """Settings of a RealNVP over (time, 1) or (frame, bin, 1).

    Every spatial axis must be divisible by squeeze * 2^num_levels.

    Attributes:
        num_steps: couplings per level; the masks run checkerboard, its complement, channel, its
            complement.
    """

    kind: ClassVar[str] = "realnvp"

    def layers(self, event_shape: tuple[int, ...]) -> list[FlowLayer]:
        """Build the layers; see :meth:`FlowSettings.layers`."""
        make_network, rank = self.coupling_networks(event_shape), len(event_shape)

        def make_steps(shape: tuple[int, ...], level: int) -> list[FlowLayer]:
            kinds = ["checkerboard"] + (["channel"] if shape[-1] % 2 == 0 else [])
            layers: list[FlowLayer] = []
            for step in range(self.num_steps):
                mask = Mask(kinds[step // 2 % len(kinds)], swap=step % 2 == 1)
                layers += [
                    ActNormLayer(shape[-1], rank, dtype=self.dtype),
                    CouplingLayer(shape, mask, make_network, False, self.bound, dtype=self.dtype),
                ]
            return layers

        factors = level_factors(event_shape, self.squeeze, self.num_levels)
        return build_levels(event_shape, factors, make_steps, make_network, self.bound, self.dtype)
