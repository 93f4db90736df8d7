r"""RealNVP: levels of affine couplings under alternating spatial (checkerboard) and channel masks.

Over waveforms the coupling networks are WaveNets, as in FloWaveNet; over spectrograms gated 2-D convolutions. No
rotation mixes the channels, so the masks alternate instead.

Sources: Dinh et al. 2017, sections 3.4 to 3.6; Kim et al. 2019 (FloWaveNet), section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfsep.audio.front_end import FrontEnd
from tfsep.bijectors.masks import Mask
from tfsep.priors.flows.conditioners import level_factors, network_factory
from tfsep.priors.flows.flow import FlowPrior
from tfsep.priors.flows.flow_layers import ActNormLayer, CouplingLayer, FlowLayer
from tfsep.priors.flows.levels import build_levels


def realnvp(
    front_end: FrontEnd,
    event_shape: tuple[int, ...],
    squeeze: int | Sequence[int] = 16,
    num_levels: int = 2,
    num_steps: int = 4,
    sigma_range: tuple[float, float] | None = (0.01, 1.0),
    condition_width: int = 32,
    bound: float | None = 3.0,
    dtype: str = "float32",
    **network: Any,
) -> FlowPrior:
    """Build a RealNVP.

    Args:
        front_end: from waveforms to features.
        event_shape: (time, 1) or (frame, bin, 1); every spatial axis divisible by squeeze * 2^num_levels.
        squeeze: factor of the first level along every spatial axis, or a list of one for each; an axis that the list
            gives 1 is never squeezed.
        num_levels: levels of the multiscale skeleton.
        num_steps: couplings per level; the masks run checkerboard, its complement, channel, its complement.
        sigma_range: noise levels, None for a clean flow.
        condition_width: size of the noise embedding.
        bound: soft clamp of log-scales in nats, None for none.
        dtype: "float32" or "float64".
        network: settings of the coupling networks.
    """
    make_network = network_factory(event_shape, condition_width if sigma_range else 0, dtype, **network)
    rank = len(event_shape)

    def make_steps(shape: tuple[int, ...], level: int) -> list[FlowLayer]:
        kinds = ["checkerboard"] + (["channel"] if shape[-1] % 2 == 0 else [])
        layers: list[FlowLayer] = []
        for step in range(num_steps):
            mask = Mask(kinds[step // 2 % len(kinds)], swap=step % 2 == 1)
            layers += [
                ActNormLayer(shape[-1], rank, dtype=dtype),
                CouplingLayer(shape, mask, make_network, False, bound, dtype=dtype),
            ]
        return layers

    def make_layers() -> list[FlowLayer]:
        factors = level_factors(event_shape, squeeze, num_levels)
        return build_levels(event_shape, factors, make_steps, make_network, bound, dtype)

    return FlowPrior("realnvp", front_end, event_shape, make_layers, sigma_range, condition_width, dtype)
