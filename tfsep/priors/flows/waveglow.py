r"""WaveGlow: one squeeze, steps of (invertible 1x1 convolution, affine coupling with a WaveNet), early outputs.

All steps run at one resolution, that of groups of ``squeeze`` samples. Every ``early_every`` steps
``early_channels`` of the channels are split off unchanged and are latents of the flow; the others
go on. There is no activation normalisation: the 1x1 convolutions carry the scales.

Source: Prenger et al. 2018 (WaveGlow), section 2 and figure 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from tfsep.bijectors.masks import Mask
from tfsep.bijectors.squeeze import squeezed_shape
from tfsep.priors.flows.flow_layers import (
    CouplingLayer,
    FlowLayer,
    InvertibleConvLayer,
    MultiscaleLayer,
    SequenceLayer,
    SqueezeLayer,
)
from tfsep.priors.flows.multiscale import check_waves
from tfsep.priors.flows.settings import CouplingFlowSettings


@dataclass(frozen=True, kw_only=True)
class WaveGlowSettings(CouplingFlowSettings):
    """Settings of a WaveGlow over (time, 1), the time divisible by squeeze; all steps run at one level.

    Attributes:
        squeeze: samples that become channels, even.
        num_steps: steps in all, at least 1.
        early_every: steps between two early outputs, at least 1.
        early_channels: channels of an early output, even; some must be left for the last step.
        seed: of the initial rotations.
    """

    kind: ClassVar[str] = "waveglow"
    without_conditionals: ClassVar[str] = (
        "its 1x1 convolutions mix both halves of an event, so that neither has a conditional in "
        "closed form; lifting and spectral_realnvp have, and nice, realnvp and glow with ordered=True"
    )
    squeeze: int = 8
    num_levels: int = field(default=1, init=False)
    num_steps: int = 12
    early_every: int = 4
    early_channels: int = 2
    seed: int = 0

    def layers(self, event_shape: tuple[int, ...]) -> list[FlowLayer]:
        """Build the layers; see :meth:`FlowSettings.layers`.

        Raises:
            ValueError: for events that are not waves, or early outputs that leave no channels to
                halve.
        """
        check_waves("waveglow", event_shape, "glow")
        squeeze, num_steps, early_every, early_channels = self._checked_counts()
        make_network, bound, dtype = self.coupling_networks(event_shape), self.bound, self.dtype

        def make_step(shape: tuple[int, ...], step: int) -> list[FlowLayer]:
            return [
                InvertibleConvLayer(shape[-1], 2, seed=self.seed + step, dtype=dtype),
                CouplingLayer(shape, Mask("channel"), make_network, False, bound, dtype=dtype),
            ]

        def make_from(shape: tuple[int, ...], step: int) -> list[FlowLayer]:
            """Build the layers from a step on, those behind an early output inside it."""
            layers: list[FlowLayer] = []
            for index in range(step, num_steps):
                if index > step and index % early_every == 0 and early_channels:
                    kept = shape[-1] - early_channels
                    inner = SequenceLayer(make_from((shape[0], kept), index), 2, dtype=dtype)
                    return [*layers, MultiscaleLayer(inner, kept, early_channels, None, bound, dtype=dtype)]
                layers += make_step(shape, index)
            return layers

        shape = squeezed_shape(event_shape, (squeeze,))
        ends = [SqueezeLayer((squeeze,), reverse=reverse, dtype=dtype) for reverse in (False, True)]
        return [ends[0], *make_from(shape, 0), ends[1]]

    def _checked_counts(self) -> tuple[int, int, int, int]:
        """Return ``squeeze``, ``num_steps``, ``early_every`` and ``early_channels``, or raise a ValueError."""
        for name, count in (("num_steps", self.num_steps), ("early_every", self.early_every)):
            if count < 1:
                raise ValueError(f"{name} must be at least 1, got {count}")
        left = self.squeeze - (self.num_steps - 1) // self.early_every * self.early_channels
        if self.early_channels < 0 or self.early_channels % 2 or left < 2:
            raise ValueError(
                f"early_channels must be even and leave at least 2 of {self.squeeze} channels for the last of "
                f"{self.num_steps} steps, got {self.early_channels} every {self.early_every} steps"
            )
        return self.squeeze, self.num_steps, self.early_every, self.early_channels
