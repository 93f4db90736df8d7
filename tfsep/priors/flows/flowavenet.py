r"""FloWaveNet: context blocks of (squeeze by two, flows), WaveNets in the couplings, a split every few blocks.

A squeeze by two puts the even positions into the first half of the channels and the odd ones into
the second, so the channel halves of a block are RealNVP's spatial checkerboard of its entrance,
dense. Each flow is activation normalisation, an affine coupling of the halves, and a change of
their order, here the swap of the mask. Every ``split_every`` blocks half of the channels are split
off under a learned normal distribution.

Source: Kim et al. 2019 (FloWaveNet), section 3 and figure 1; spatial masks of Dinh et al. 2017,
section 3.4.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from tfsep.bijectors.masks import Mask
from tfsep.priors.flows.flow_layers import ActNormLayer, CouplingLayer, FlowLayer
from tfsep.priors.flows.multiscale import build_levels, check_waves, level_factors
from tfsep.priors.flows.settings import CouplingFlowSettings


@dataclass(frozen=True, kw_only=True)
class FloWaveNetSettings(CouplingFlowSettings):
    """Settings of a FloWaveNet over (time, 1), the time divisible by 2^num_levels; every block squeezes by two.

    Attributes:
        num_levels: context blocks, each with a squeeze by two, at least 1.
        num_steps: flows per block, at least 2 so that both halves change.
        split_every: blocks after which half of the channels are split off, at least 1.
    """

    kind: ClassVar[str] = "flowavenet"
    without_conditionals: ClassVar[str] = (
        "its couplings change both halves of an event in turn, so that neither has a conditional in "
        "closed form; lifting and spectral_realnvp have, and nice, realnvp and glow with ordered=True"
    )
    squeeze: int = field(default=2, init=False)
    num_levels: int = 4
    split_every: int = 2

    def layers(self, event_shape: tuple[int, ...]) -> list[FlowLayer]:
        """Build the layers; see :meth:`FlowSettings.layers`.

        Raises:
            ValueError: for events that are not waves, or blocks that leave a half as it is.
        """
        check_waves("flowavenet", event_shape, "realnvp")
        if self.num_steps < 2:
            raise ValueError(f"num_steps of flowavenet must be at least 2, one for each half, got {self.num_steps}")
        make_network, dtype = self.coupling_networks(event_shape), self.dtype

        def make_steps(shape: tuple[int, ...], level: int) -> list[FlowLayer]:
            layers: list[FlowLayer] = []
            for step in range(self.num_steps):
                mask = Mask("channel", swap=step % 2 == 1)
                layers += [
                    ActNormLayer(shape[-1], 2, dtype=dtype),
                    CouplingLayer(shape, mask, make_network, False, self.bound, dtype=dtype),
                ]
            return layers

        factors = level_factors(event_shape, self.squeeze, self.num_levels)
        return build_levels(event_shape, factors, make_steps, make_network, self.bound, dtype, self.split_every)
