"""What every flow is built from: the settings that all kinds share, and how a flow follows from them."""

from __future__ import annotations

import abc
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tfsep.audio.front_end import FrontEnd
from tfsep.priors.flows.conditioners import NetworkSettings
from tfsep.priors.flows.flow import SCORES, FlowPrior
from tfsep.priors.flows.flow_layers import FlowLayer, NetworkFactory
from tfsep.priors.flows.orderings import OrderedFlow, Orderings


@dataclass(frozen=True, kw_only=True)
class FlowSettings(abc.ABC):
    """Settings of a flow. A kind is a subclass, with other defaults, settings that it fixes, and settings of its own.

    Attributes:
        squeeze: factor of the first level along every spatial axis, or a list of one for each; an
            axis that the list gives 1 is never squeezed.
        num_levels: levels of the multiscale skeleton, at least 1.
        num_steps: steps per level, at least 1.
        sigma_range: smallest and largest noise level, in units of the features; None for a clean
            flow.
        condition_width: size of the embedded noise level, at least 1.
        bound: soft clamp of log-scales in nats, above 0; None for none.
        dtype: "float32", or "float64" for more precise densities.
        score_of: what the score, and so the denoiser, is taken from: "gradient" of the log-density,
            or "conditionals" (:mod:`tfsep.priors.flows.orderings`), where one half of an event is
            mapped before the other.
    """

    kind: ClassVar[str]
    #: Why no half is mapped before the other, and what serves instead.
    without_conditionals: ClassVar[str] = ""
    squeeze: int | Sequence[int] = 16
    num_levels: int = 2
    num_steps: int = 4
    sigma_range: tuple[float, float] | None = (0.01, 1.0)
    condition_width: int = 32
    bound: float | None = 3.0
    dtype: str = "float32"
    score_of: str = "gradient"

    @abc.abstractmethod
    def layers(self, event_shape: tuple[int, ...]) -> list[FlowLayer]:
        """Build the flow's layers from the data's side to the latents'.

        Args:
            event_shape: (time, 1) or (frame, bin, 1).

        Raises:
            ValueError: for events or settings that the kind cannot take.
        """

    @property
    def network_condition(self) -> int:
        """Return the size of the condition that the networks receive: 0 for a clean flow."""
        return self.condition_width + self.floored if self.sigma_range else 0

    @property
    def floored(self) -> bool:
        """Return whether the noise level is a floor in layers; see :class:`FlowPrior`."""
        return False

    def orderings(self, event_shape: tuple[int, ...]) -> Orderings:
        """Build the layers of both orderings, of a kind that has them.

        Args:
            event_shape: (time, 1) or (frame, bin, 1).

        Raises:
            ValueError: for a kind that has none, or events or settings that it cannot take.
        """
        raise ValueError(f"score_of of {self.kind} must be 'gradient', got 'conditionals': {self.without_conditionals}")

    def build(self, front_end: FrontEnd, event_shape: tuple[int, ...]) -> FlowPrior:
        """Build the untrained flow over the front end's features.

        Raises:
            ValueError: for events or settings that the kind cannot take.
        """
        if self.score_of not in SCORES:
            raise ValueError(f"score_of must be one of {', '.join(SCORES)}, got {self.score_of!r}")
        arguments = (self.sigma_range, self.condition_width, self.dtype)
        if self.score_of == "conditionals":
            return OrderedFlow(self.kind, front_end, event_shape, self.orderings(event_shape), *arguments)
        make_layers = functools.partial(self.layers, event_shape)
        return FlowPrior(self.kind, front_end, event_shape, make_layers, *arguments, floored=self.floored)


@dataclass(frozen=True, kw_only=True)
class CouplingFlowSettings(NetworkSettings, FlowSettings):
    """Settings of a flow of couplings, those of the networks in them among these."""

    def coupling_networks(self, event_shape: tuple[int, ...]) -> NetworkFactory:
        """Return the factory of the coupling networks, (in_channels, out_channels) -> network."""
        return self.network_factory(event_shape, self.network_condition, self.dtype)
