r"""WaveGlow: one squeeze, steps of (invertible 1x1 convolution, affine coupling with a WaveNet), early outputs.

All steps run at one resolution, that of groups of ``squeeze`` samples. Every ``early_every`` steps ``early_channels``
of the channels leave as they are and are latents of the flow; the others go on. There is no activation normalisation:
the 1x1 convolutions carry the scales.

Source: Prenger et al. 2018 (WaveGlow), section 2 and figure 1.
"""

from __future__ import annotations

from typing import Any

from tfsep.audio.front_end import FrontEnd
from tfsep.bijectors.masks import Mask
from tfsep.bijectors.squeeze import squeezed_shape
from tfsep.priors.flows.conditioners import check_waves, network_factory
from tfsep.priors.flows.flow import FlowPrior
from tfsep.priors.flows.flow_layers import (
    CouplingLayer,
    FlowLayer,
    InvertibleConvLayer,
    MultiscaleLayer,
    SequenceLayer,
    SqueezeLayer,
)


def waveglow(
    front_end: FrontEnd,
    event_shape: tuple[int, ...],
    squeeze: int = 8,
    num_steps: int = 12,
    early_every: int = 4,
    early_channels: int = 2,
    sigma_range: tuple[float, float] | None = (0.01, 1.0),
    condition_width: int = 32,
    bound: float | None = 3.0,
    seed: int = 0,
    dtype: str = "float32",
    **network: Any,
) -> FlowPrior:
    """Build a WaveGlow.

    Args:
        front_end: from waveforms to features; waves only.
        event_shape: (time, 1), divisible by squeeze.
        squeeze: samples that become channels, even.
        num_steps: steps in all.
        early_every: steps between two early outputs.
        early_channels: channels of an early output, even; some must be left for the last step.
        sigma_range: noise levels, None for a clean flow.
        condition_width: size of the noise embedding.
        bound: soft clamp of log-scales in nats, None for none.
        seed: of the initial rotations.
        dtype: "float32" or "float64".
        network: settings of the WaveNets.

    Raises:
        ValueError: for events that are not waves, or early outputs that leave no channels to halve.
    """
    check_waves("waveglow", event_shape, "glow")
    for name, count in (("num_steps", num_steps), ("early_every", early_every)):
        if count < 1:
            raise ValueError(f"{name} must be at least 1, got {count}")
    left = squeeze - (num_steps - 1) // early_every * early_channels
    if early_channels < 0 or early_channels % 2 or left < 2:
        raise ValueError(
            f"early_channels must be even and leave at least 2 of {squeeze} channels for the last of {num_steps} "
            f"steps, got {early_channels} every {early_every} steps"
        )
    make_network = network_factory(event_shape, condition_width if sigma_range else 0, dtype, **network)

    def make_step(shape: tuple[int, ...], step: int) -> list[FlowLayer]:
        return [
            InvertibleConvLayer(shape[-1], 2, seed=seed + step, dtype=dtype),
            CouplingLayer(shape, Mask("channel"), make_network, False, bound, dtype=dtype),
        ]

    def make_from(shape: tuple[int, ...], step: int) -> list[FlowLayer]:
        """The layers from a step on, those behind an early output inside it."""
        layers: list[FlowLayer] = []
        for index in range(step, num_steps):
            if index > step and index % early_every == 0 and early_channels:
                kept = shape[-1] - early_channels
                inner = SequenceLayer(make_from((shape[0], kept), index), 2, dtype=dtype)
                return [*layers, MultiscaleLayer(inner, kept, early_channels, None, bound, dtype=dtype)]
            layers += make_step(shape, index)
        return layers

    def make_layers() -> list[FlowLayer]:
        shape = squeezed_shape(event_shape, (squeeze,))
        ends = [SqueezeLayer((squeeze,), reverse=reverse, dtype=dtype) for reverse in (False, True)]
        return [ends[0], *make_from(shape, 0), ends[1]]

    return FlowPrior("waveglow", front_end, event_shape, make_layers, sigma_range, condition_width, dtype)
