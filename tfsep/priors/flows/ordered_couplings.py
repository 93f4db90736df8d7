r"""Couplings in two blocks: one half of an event is mapped given the other before that one is touched.

With even positions e and odd ones o of one axis,

.. math:: z_o = f(o; e), \qquad z_e = g(e),

where f is a row of the kind's steps on o, whose networks read e beside what they keep of o, and g
is the usual flow on events of half the length. So :math:`\log p(o | e)` is in closed form, which
couplings that change both halves in turn do not have. The mirrored f, of e given o, makes the
second ordering (:mod:`tfsep.priors.flows.orderings`).

With ``conditional="gaussian"`` f is one affine coupling of the whole half, so that

.. math:: p_\sigma(o | e) = \mathcal{N}\bigl(o;\ t(e, \sigma),\ \sigma^2 + \tau^2 e^{2 s(e, \sigma)}\bigr)

in every feature, with tau the standard deviation of the source. The variance is at least that of
the noise, and the denoiser of the conditional is :math:`o + (t - o)\,\sigma^2 / v`, with v the
variance: where the noise is loud against what is left to predict, it is t itself. A network that
sees the whole of e computes t and s; which tone sounds is then one decision for all features.

Source: Dinh et al. 2017 (RealNVP), sections 3.4 to 3.6, here with a side input.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import ClassVar

from tfsep.bijectors.masks import GivenMask, Mask
from tfsep.bijectors.squeeze import squeezed_shape
from tfsep.priors.flows.conditioners import predictor
from tfsep.priors.flows.flow_layers import CouplingLayer, FlowLayer, HalvesLayer, MultiscaleLayer, NetworkFactory
from tfsep.priors.flows.multiscale import first_factors
from tfsep.priors.flows.orderings import Orderings, halving_of, predicted_half
from tfsep.priors.flows.settings import CouplingFlowSettings

#: How one half of an ordered flow is mapped given the other.
CONDITIONALS = ("couplings", "gaussian")


@dataclass(frozen=True)
class Part:
    """What the steps of a level act on: whole events, or the first half of the channels while the second is given."""

    given: bool = False

    def coupling(
        self,
        shape: tuple[int, ...],
        mask: Mask,
        make_network: NetworkFactory,
        additive: bool,
        bound: float | None,
        dtype: str,
    ) -> CouplingLayer:
        """Build a coupling of events of ``shape``, whose network reads the half that is given, too.

        Args:
            shape: without the half that is given.
            mask, make_network, additive, bound, dtype: as of :class:`CouplingLayer`.
        """
        if self.given:
            shape, mask = (*shape[:-1], 2 * shape[-1]), GivenMask(mask.kind, mask.swap)
        return CouplingLayer(shape, mask, make_network, additive, bound, dtype=dtype)

    def alone(self, layer: FlowLayer, channels: int, dtype: str) -> FlowLayer:
        """Let a layer of so many channels leave the half that is given as it is."""
        return MultiscaleLayer(layer, channels, channels, None, None, dtype=dtype) if self.given else layer


@dataclass(frozen=True, kw_only=True)
class OrderedCouplingSettings(CouplingFlowSettings):
    """Settings of a flow of couplings that can map one half of an event before it touches the other.

    Attributes:
        ordered: map the odd positions of one axis, their couplings given the even ones, by
            ``num_steps`` steps, and then the even ones by the usual flow, whose event is half as
            long; ``squeeze`` is that of each half. The axis is time, or the frames while their
            number is even, or else the bins. It is needed for the score of conditionals.
        conditional: how the odd positions are mapped: "couplings", ``num_steps`` of the kind's own
            steps; or "gaussian", one affine coupling of all of them under the floor of the noise,
            of a noise-conditional flow.
        predictor_width: hidden units of a Gaussian conditional's network; None is 128 over waves
            and 256 over spectrograms.
    """

    without_conditionals: ClassVar[str] = (
        "its layers mix both halves of an event, so that neither has a conditional in closed form, unless ordered=True"
    )
    ordered: bool = False
    conditional: str = "couplings"
    predictor_width: int | None = None

    @property
    def floored(self) -> bool:
        """Return whether the noise is a floor; see :class:`FlowSettings`."""
        return self.ordered and self.conditional == "gaussian"

    @abc.abstractmethod
    def usual_layers(self, event_shape: tuple[int, ...]) -> list[FlowLayer]:
        """Build the layers of the usual flow; see :meth:`FlowSettings.layers`."""

    @abc.abstractmethod
    def steps(self, shape: tuple[int, ...], make_network: NetworkFactory, part: Part) -> list[FlowLayer]:
        """Build the steps of one level on squeezed events of ``shape``, which ``part`` may give another half."""

    def layers(self, event_shape: tuple[int, ...]) -> list[FlowLayer]:
        """Build the layers; see :meth:`FlowSettings.layers`.

        Raises:
            ValueError: for another conditional, or one that is Gaussian of a flow that is not ordered;
                or for a ``predictor_width`` without such a conditional.
        """
        self._check_conditional()
        return self._orderings(event_shape).layers(self.dtype) if self.ordered else self.usual_layers(event_shape)

    def orderings(self, event_shape: tuple[int, ...]) -> Orderings:
        """Build the layers of both orderings.

        Raises:
            ValueError: unless ``ordered``.
        """
        return self._orderings(event_shape) if self.ordered else super().orderings(event_shape)

    def _check_conditional(self) -> None:
        if self.conditional not in CONDITIONALS:
            raise ValueError(f"conditional must be one of {', '.join(CONDITIONALS)}, got {self.conditional!r}")
        if self.conditional == "gaussian" and not self.ordered:
            raise ValueError("conditional = 'gaussian' needs ordered=True, got False")
        if self.predictor_width is not None and self.conditional != "gaussian":
            raise ValueError(f"predictor_width is for conditional = 'gaussian', got {self.predictor_width}")

    def _orderings(self, event_shape: tuple[int, ...]) -> Orderings:
        self._check_conditional()
        halving = halving_of(event_shape)
        *positions, channels = squeezed_shape(event_shape, halving)
        if event_shape[-1] != 1 or channels != 2:
            raise ValueError(f"ordered couplings halve events of one channel, got {event_shape}")
        half = (*positions, 1)
        factors = first_factors(half, self.squeeze)
        shape, make_network = squeezed_shape(half, factors), self.coupling_networks(event_shape)

        def given(mirrored: bool) -> list[FlowLayer]:
            if self.floored:
                given_settings = {"width": self.predictor_width}
                about = (self.network_condition, self.dtype, self.precision)
                predict = predictor(tuple(positions), given_settings, *about)
                return predicted_half(halving, not mirrored, predict, self.bound, self.dtype, floored=True)
            ends = [HalvesLayer(halving, factors, mirrored, reverse, dtype=self.dtype) for reverse in (False, True)]
            return [ends[0], *self.steps(shape, make_network, Part(given=True)), ends[1]]

        mirrored = given(True) if self.score_of == "conditionals" else []
        return Orderings(halving, given(False), mirrored, self.usual_layers(half), self.floored)
