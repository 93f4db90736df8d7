r"""FloWaveNet: context blocks of (squeeze by two, flows), WaveNets in the couplings, a split every few blocks.

A squeeze by two puts the even positions into the first half of the channels and the odd ones into the second, so the
channel halves of a block are RealNVP's spatial checkerboard of its entrance, dense. Each flow is activation
normalisation, an affine coupling of the halves, and a change of their order, here the swap of the mask. Every
``split_every`` blocks half of the channels leave under a learned normal distribution.

Source: Kim et al. 2019 (FloWaveNet), section 3 and figure 1; spatial masks of Dinh et al. 2017, section 3.4.
"""

from __future__ import annotations

from typing import Any

from tfsep.audio.front_end import FrontEnd
from tfsep.bijectors.masks import Mask
from tfsep.priors.flows.conditioners import check_waves, level_factors, network_factory
from tfsep.priors.flows.flow import FlowPrior
from tfsep.priors.flows.flow_layers import ActNormLayer, CouplingLayer, FlowLayer
from tfsep.priors.flows.levels import build_levels


def flowavenet(
    front_end: FrontEnd,
    event_shape: tuple[int, ...],
    num_levels: int = 4,
    num_steps: int = 4,
    split_every: int = 2,
    sigma_range: tuple[float, float] | None = (0.01, 1.0),
    condition_width: int = 32,
    bound: float | None = 3.0,
    dtype: str = "float32",
    **network: Any,
) -> FlowPrior:
    """Build a FloWaveNet.

    Args:
        front_end: from waveforms to features; waves only.
        event_shape: (time, 1), divisible by 2^num_levels.
        num_levels: context blocks, each with a squeeze by two.
        num_steps: flows per block, at least 2 so that both halves change.
        split_every: blocks after which half of the channels leave.
        sigma_range: noise levels, None for a clean flow.
        condition_width: size of the noise embedding.
        bound: soft clamp of log-scales in nats, None for none.
        dtype: "float32" or "float64".
        network: settings of the WaveNets.

    Raises:
        ValueError: for events that are not waves, or blocks that leave a half as it is.
    """
    check_waves("flowavenet", event_shape, "realnvp")
    if num_steps < 2:
        raise ValueError(f"num_steps of flowavenet must be at least 2, one for each half, got {num_steps}")
    make_network = network_factory(event_shape, condition_width if sigma_range else 0, dtype, **network)

    def make_steps(shape: tuple[int, ...], level: int) -> list[FlowLayer]:
        layers: list[FlowLayer] = []
        for step in range(num_steps):
            layers += [
                ActNormLayer(shape[-1], 2, dtype=dtype),
                CouplingLayer(shape, Mask("channel", swap=step % 2 == 1), make_network, False, bound, dtype=dtype),
            ]
        return layers

    def make_layers() -> list[FlowLayer]:
        factors = level_factors(event_shape, 2, num_levels)
        return build_levels(event_shape, factors, make_steps, make_network, bound, dtype, split_every)

    return FlowPrior("flowavenet", front_end, event_shape, make_layers, sigma_range, condition_width, dtype)
