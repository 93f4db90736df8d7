r"""Glow: levels of (activation normalisation, invertible 1x1 convolution, affine coupling of channel halves).

Over waveforms the coupling networks are WaveNets, as in WaveGlow; over spectrograms gated 2-D convolutions.

Sources: Kingma and Dhariwal 2018, section 3 and table 1; Prenger et al. 2018 (WaveGlow), section 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfsep.audio.front_end import FrontEnd
from tfsep.bijectors.masks import Mask
from tfsep.priors.flows.conditioners import level_factors, network_factory
from tfsep.priors.flows.flow import FlowPrior
from tfsep.priors.flows.flow_layers import ActNormLayer, CouplingLayer, FlowLayer, InvertibleConvLayer, NetworkFactory
from tfsep.priors.flows.levels import build_levels


def glow(
    front_end: FrontEnd,
    event_shape: tuple[int, ...],
    squeeze: int | Sequence[int] = 16,
    num_levels: int = 2,
    num_steps: int = 4,
    sigma_range: tuple[float, float] | None = (0.01, 1.0),
    condition_width: int = 32,
    bound: float | None = 3.0,
    seed: int = 0,
    dtype: str = "float32",
    **network: Any,
) -> FlowPrior:
    """Build a Glow.

    Args:
        front_end: from waveforms to features.
        event_shape: (time, 1) or (frame, bin, 1); every spatial axis divisible by squeeze * 2^(num_levels - 1).
        squeeze: factor of the first level along every spatial axis, or a list of one for each; an axis that the list
            gives 1 is never squeezed.
        num_levels: levels of the multiscale skeleton.
        num_steps: steps per level.
        sigma_range: noise levels, None for a clean flow.
        condition_width: size of the noise embedding.
        bound: soft clamp of log-scales in nats, None for none.
        seed: of the initial rotations.
        dtype: "float32" or "float64".
        network: settings of the coupling networks.
    """
    make_network = network_factory(event_shape, condition_width if sigma_range else 0, dtype, **network)

    def make_steps(shape: tuple[int, ...], level: int) -> list[FlowLayer]:
        return glow_steps(shape, num_steps, make_network, bound, seed + 1000 * level, dtype)

    def make_layers() -> list[FlowLayer]:
        factors = level_factors(event_shape, squeeze, num_levels)
        return build_levels(event_shape, factors, make_steps, make_network, bound, dtype)

    return FlowPrior("glow", front_end, event_shape, make_layers, sigma_range, condition_width, dtype)


def glow_steps(
    shape: tuple[int, ...], num_steps: int, make_network: NetworkFactory, bound: float | None, seed: int, dtype: str
) -> list[FlowLayer]:
    """``num_steps`` steps of Glow on events of ``shape``, channels last; rotations are drawn from ``seed`` on."""
    layers: list[FlowLayer] = []
    for step in range(num_steps):
        layers += [
            ActNormLayer(shape[-1], len(shape), dtype=dtype),
            InvertibleConvLayer(shape[-1], len(shape), seed=seed + step, dtype=dtype),
            CouplingLayer(shape, Mask("channel"), make_network, False, bound, dtype=dtype),
        ]
    return layers
