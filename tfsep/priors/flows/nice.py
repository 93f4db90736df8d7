r"""NICE: additive couplings, which preserve volume, under half and channel masks, and a learned scale per dimension.

Over waveforms the coupling networks are WaveNets, over spectrograms gated 2-D convolutions. The
masks run through the channels (positions side by side, after the squeeze) and the halves of the
last spatial axis, so that near and far dimensions meet. There is no activation normalisation and no
multiscale split: all change of volume is in the last layer, which makes this the one flow whose
log-determinant no event can blow up.

Source: Dinh et al. 2015, sections 3 and 4.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from tfsep.bijectors.masks import Mask
from tfsep.bijectors.squeeze import squeezed_shape
from tfsep.priors.flows.flow_layers import DiagonalScaleLayer, FlowLayer, NetworkFactory, SqueezeLayer
from tfsep.priors.flows.multiscale import first_factors
from tfsep.priors.flows.ordered_couplings import OrderedCouplingSettings, Part


@dataclass(frozen=True, kw_only=True)
class NiceSettings(OrderedCouplingSettings):
    """Settings of a NICE over (time, 1) or (frame, bin, 1), which has one level.

    Every spatial axis must be divisible by squeeze, and the squeezed channels or the last squeezed
    axis even.

    Attributes:
        num_steps: couplings, at least 2; the masks run channel, its complement, half, its
            complement, as far as they halve evenly.
        bound: soft clamp of what the noise level adds to the final log-scales, in nats, above 0;
            None for none.
    """

    kind: ClassVar[str] = "nice"
    num_levels: int = field(default=1, init=False)

    def usual_layers(self, event_shape: tuple[int, ...]) -> list[FlowLayer]:
        """Build the layers; see :meth:`OrderedCouplingSettings.usual_layers`.

        Raises:
            ValueError: for an event that no mask halves, or fewer than two steps, which would leave
                a part as it is.
        """
        factors = first_factors(event_shape, self.squeeze)
        steps = self.steps(squeezed_shape(event_shape, factors), self.coupling_networks(event_shape), Part())
        ends = [SqueezeLayer(factors, reverse, dtype=self.dtype) for reverse in (False, True)]
        return [ends[0], *steps, ends[1]]

    def steps(self, shape: tuple[int, ...], make_network: NetworkFactory, part: Part) -> list[FlowLayer]:
        """Build the couplings and the scales; see :meth:`OrderedCouplingSettings.steps`.

        Raises:
            ValueError: as :meth:`usual_layers`.
        """
        kinds = [kind for kind, size in (("channel", shape[-1]), ("half", shape[-2])) if size % 2 == 0]
        if not kinds:
            raise ValueError(f"nice halves the channels or the last axis of squeezed events {shape}, and both are odd")
        if self.num_steps < 2:
            raise ValueError(
                f"num_steps of nice must be at least 2, one for each part of an event, got {self.num_steps}"
            )
        masks = [Mask(kinds[step // 2 % len(kinds)], swap=step % 2 == 1) for step in range(self.num_steps)]
        couplings = [part.coupling(shape, mask, make_network, True, self.bound, self.dtype) for mask in masks]
        scale = DiagonalScaleLayer(shape, self.network_condition, self.bound, dtype=self.dtype)
        return [*couplings, part.alone(scale, shape[-1], self.dtype)]
