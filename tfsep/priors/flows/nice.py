r"""NICE: additive couplings, which preserve volume, under half and channel masks, and a learned scale per dimension.

Over waveforms the coupling networks are WaveNets, over spectrograms gated 2-D convolutions. The masks run through the
channels (positions side by side, after the squeeze) and the halves of the last spatial axis, so that near and far
dimensions meet. There is no activation normalisation and no multiscale split: all change of volume is in the last
layer, which makes this the one flow whose log-determinant no event can blow up.

Source: Dinh et al. 2015, sections 3 and 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfsep.audio.front_end import FrontEnd
from tfsep.bijectors.masks import Mask
from tfsep.bijectors.squeeze import squeezed_shape
from tfsep.priors.flows.conditioners import first_factors, network_factory
from tfsep.priors.flows.flow import FlowPrior
from tfsep.priors.flows.flow_layers import CouplingLayer, DiagonalScaleLayer, FlowLayer, SqueezeLayer


def nice(
    front_end: FrontEnd,
    event_shape: tuple[int, ...],
    squeeze: int | Sequence[int] = 16,
    num_steps: int = 4,
    sigma_range: tuple[float, float] | None = (0.01, 1.0),
    condition_width: int = 32,
    bound: float | None = 3.0,
    dtype: str = "float32",
    **network: Any,
) -> FlowPrior:
    """Build a NICE.

    Args:
        front_end: from waveforms to features.
        event_shape: (time, 1) or (frame, bin, 1); every spatial axis divisible by squeeze, and the squeezed channels or
            the last squeezed axis even.
        squeeze: factor along every spatial axis, or a list of one for each.
        num_steps: couplings; the masks run channel, its complement, half, its complement, as far as they halve evenly.
        sigma_range: noise levels, None for a clean flow.
        condition_width: size of the noise embedding.
        bound: soft clamp of what the noise level adds to the final log-scales, in nats, None for none.
        dtype: "float32" or "float64".
        network: settings of the coupling networks.

    Raises:
        ValueError: for an event that no mask halves, or fewer than two steps, which would leave a part as it is.
    """
    condition_width = condition_width if sigma_range else 0
    make_network = network_factory(event_shape, condition_width, dtype, **network)
    factors = first_factors(event_shape, squeeze)
    shape = squeezed_shape(event_shape, factors)
    kinds = [kind for kind, size in (("channel", shape[-1]), ("half", shape[-2])) if size % 2 == 0]
    if not kinds:
        raise ValueError(f"nice halves the channels or the last axis of squeezed events {shape}, and both are odd")
    if num_steps < 2:
        raise ValueError(f"num_steps of nice must be at least 2, one for each part of an event, got {num_steps}")

    def make_layers() -> list[FlowLayer]:
        masks = [Mask(kinds[step // 2 % len(kinds)], swap=step % 2 == 1) for step in range(num_steps)]
        couplings = [CouplingLayer(shape, mask, make_network, True, bound, dtype=dtype) for mask in masks]
        return [
            SqueezeLayer(factors, dtype=dtype),
            *couplings,
            DiagonalScaleLayer(shape, condition_width, bound, dtype=dtype),
            SqueezeLayer(factors, reverse=True, dtype=dtype),
        ]

    return FlowPrior("nice", front_end, event_shape, make_layers, sigma_range, condition_width, dtype)
