r"""Glow: levels of (activation normalisation, invertible 1x1 convolution, affine coupling of channel halves).

Over waveforms the coupling networks are WaveNets, as in WaveGlow; over spectrograms gated 2-D
convolutions.

Sources: Kingma and Dhariwal 2018, section 3 and table 1; Prenger et al. 2018 (WaveGlow), section 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tfsep.bijectors.masks import Mask
from tfsep.priors.flows.flow_layers import ActNormLayer, FlowLayer, InvertibleConvLayer, NetworkFactory
from tfsep.priors.flows.multiscale import build_levels, level_factors
from tfsep.priors.flows.ordered_couplings import OrderedCouplingSettings, Part


@dataclass(frozen=True, kw_only=True)
class GlowSettings(OrderedCouplingSettings):
    """Settings of a Glow over (time, 1) or (frame, bin, 1).

    Every spatial axis must be divisible by squeeze * 2^(num_levels - 1), and the halved one of an
    ordered flow, whose 1x1 convolutions stay within a half, by twice that.

    Attributes:
        seed: of the initial rotations.
    """

    kind: ClassVar[str] = "glow"
    seed: int = 0

    def usual_layers(self, event_shape: tuple[int, ...]) -> list[FlowLayer]:
        """Build the layers; see :meth:`OrderedCouplingSettings.usual_layers`."""
        make_network = self.coupling_networks(event_shape)

        def make_steps(shape: tuple[int, ...], level: int) -> list[FlowLayer]:
            return glow_steps(shape, self.num_steps, make_network, self.bound, self.seed + 1000 * level, self.dtype)

        factors = level_factors(event_shape, self.squeeze, self.num_levels)
        return build_levels(event_shape, factors, make_steps, make_network, self.bound, self.dtype)

    def steps(self, shape: tuple[int, ...], make_network: NetworkFactory, part: Part) -> list[FlowLayer]:
        """Build the steps of one level; see :meth:`OrderedCouplingSettings.steps`."""
        seed = self.seed + 1000 * self.num_levels
        return glow_steps(shape, self.num_steps, make_network, self.bound, seed, self.dtype, part)


def glow_steps(
    shape: tuple[int, ...],
    num_steps: int,
    make_network: NetworkFactory,
    bound: float | None,
    seed: int,
    dtype: str,
    part: Part | None = None,
) -> list[FlowLayer]:
    """Build ``num_steps`` steps of Glow on events of ``shape``, channels last; rotations are drawn from ``seed`` on.

    Args:
        shape: squeezed.
        num_steps: at least 1.
        make_network: of the couplings.
        bound: soft clamp of their log-scales in nats; None for none.
        seed: of the first rotation.
        dtype: of the layers.
        part: whether another half is given; None is not.
    """
    layers: list[FlowLayer] = []
    part = part or Part()
    for step in range(num_steps):
        layers += [
            part.alone(ActNormLayer(shape[-1], len(shape), dtype=dtype), shape[-1], dtype),
            part.alone(InvertibleConvLayer(shape[-1], len(shape), seed=seed + step, dtype=dtype), shape[-1], dtype),
            part.coupling(shape, Mask("channel"), make_network, False, bound, dtype),
        ]
    return layers
