r"""RealNVP: levels of affine couplings under alternating spatial (checkerboard) and channel masks.

Over waveforms the coupling networks are WaveNets, as in FloWaveNet; over spectrograms gated 2-D
convolutions. No rotation mixes the channels, so the masks alternate instead.

Sources: Dinh et al. 2017, sections 3.4 to 3.6; Kim et al. 2019 (FloWaveNet), section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tfsep.bijectors.masks import Mask
from tfsep.priors.flows.flow_layers import ActNormLayer, FlowLayer, NetworkFactory
from tfsep.priors.flows.multiscale import build_levels, level_factors
from tfsep.priors.flows.ordered_couplings import OrderedCouplingSettings, Part


@dataclass(frozen=True, kw_only=True)
class RealNVPSettings(OrderedCouplingSettings):
    """Settings of a RealNVP over (time, 1) or (frame, bin, 1).

    Every spatial axis must be divisible by squeeze * 2^num_levels, and the halved one of an ordered
    flow by twice that.

    Attributes:
        num_steps: couplings per level; the masks run checkerboard, its complement, channel, its
            complement.
    """

    kind: ClassVar[str] = "realnvp"

    def usual_layers(self, event_shape: tuple[int, ...]) -> list[FlowLayer]:
        """Build the layers; see :meth:`OrderedCouplingSettings.usual_layers`."""
        make_network = self.coupling_networks(event_shape)

        def make_steps(shape: tuple[int, ...], level: int) -> list[FlowLayer]:
            return self.steps(shape, make_network, Part())

        factors = level_factors(event_shape, self.squeeze, self.num_levels)
        return build_levels(event_shape, factors, make_steps, make_network, self.bound, self.dtype)

    def steps(self, shape: tuple[int, ...], make_network: NetworkFactory, part: Part) -> list[FlowLayer]:
        """Build the steps of one level; see :meth:`OrderedCouplingSettings.steps`."""
        kinds = ["checkerboard"] + (["channel"] if shape[-1] % 2 == 0 else [])
        layers: list[FlowLayer] = []
        for step in range(self.num_steps):
            mask = Mask(kinds[step // 2 % len(kinds)], swap=step % 2 == 1)
            layers += [
                part.alone(ActNormLayer(shape[-1], len(shape), dtype=self.dtype), shape[-1], self.dtype),
                part.coupling(shape, mask, make_network, False, self.bound, self.dtype),
            ]
        return layers
