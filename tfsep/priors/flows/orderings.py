r"""Two orderings of a flow's halves, and the score that takes each half from the ordering in which it comes last.

An event x falls into two halves of an orthonormal transform, here the even positions e and the odd
ones o of one axis. **Ordering A** is the flow itself: layers that map o, given e, to standard normal
latents, and then layers on e alone,

.. math:: \log p_A(x) = \log p_A(o | e) + \log p_A(e).

**Ordering B** has the mirrored half only, :math:`\log p_B(e | o)`, by layers of its own. Training
maximises :math:`\log p_A(x) + \log p_B(e | o)`.

Two scores follow. ``score_of="gradient"`` differentiates :math:`\log p_A(x)`, through what the
networks read as well. ``"conditionals"`` is

.. math:: (\nabla_o \log p_A(o | e),\ \nabla_e \log p_B(e | o)),

which differentiates no network in the half that it conditions on: what is given is held fixed. The
two agree where both orderings describe one density. Else the second is the gradient of a
pseudo-likelihood (Besag 1975), and of no one density; the log-density stays that of ordering A.

A flow has conditionals only if one half is done while the other has not been touched. So have the
levels of a lifting flow; couplings do with ``ordered=True``
(:mod:`tfsep.priors.flows.ordered_couplings`). Masks that alternate between both halves, and 1x1 convolutions
across them, leave no half as it is: there the conditional of a half is known up to a normaliser
only.

Sources: Besag 1975 (pseudo-likelihood); Dinh et al. 2017 (RealNVP), sections 3.4 and 3.6.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import tensorflow as tf

from tfsep import bijectors
from tfsep.audio.front_end import FrontEnd
from tfsep.axes import Sigma, TensorLike
from tfsep.bijectors.halves import merge_halves, split_halves
from tfsep.priors.base import broadcast_to_event
from tfsep.priors.flows.flow import FlowPrior, track_weights
from tfsep.priors.flows.flow_layers import (
    FlowLayer,
    HalvesLayer,
    MultiscaleLayer,
    NetworkFactory,
    SequenceLayer,
    SqueezeLayer,
)


@dataclass(frozen=True)
class Orderings:
    """The layers of a flow with two orderings.

    Attributes:
        halving: factor 2 for the axis that is halved, 1 for the others.
        last: layers on whole events that map the odd half given the even one and leave that as it
            is.
        mirrored: the same with the halves exchanged.
        rest: layers on the even half alone, (..., 1).
        floored: whether layers have the noise level as a floor.
    """

    halving: tuple[int, ...]
    last: Sequence[FlowLayer]
    mirrored: Sequence[FlowLayer]
    rest: Sequence[FlowLayer]
    floored: bool = False

    def layers(self, dtype: str) -> list[FlowLayer]:
        """Return the layers of ordering A, from the data's side to the latents'."""
        rank = len(self.halving) + 1
        inner = MultiscaleLayer(SequenceLayer(self.rest, rank, dtype=dtype), 1, 1, None, None, dtype=dtype)
        ends = [SqueezeLayer(self.halving, reverse, dtype=dtype) for reverse in (False, True)]
        return [*self.last, ends[0], inner, ends[1]]


class Conditionals(NamedTuple):
    """Both conditionals of events.

    Attributes:
        score: of the conditionals, of the events' shape.
        of_odd, of_even: log-densities of the scaled halves in nats, (batch,).
        mapped: scaled events whose odd half has become latents.
        log_det: of the scale of whole events, in nats, (batch,).
    """

    score: tf.Tensor
    of_odd: tf.Tensor
    of_even: tf.Tensor
    mapped: tf.Tensor
    log_det: tf.Tensor


class OrderedFlow(FlowPrior):
    """A flow with the mirrored conditional beside it, and the score of conditionals; see the module's text.

    Args:
        kind, front_end, event_shape, sigma_range, condition_width, dtype: as of :class:`FlowPrior`.
        orderings: the layers.
    """

    score_of = "conditionals"

    def __init__(
        self,
        kind: str,
        front_end: FrontEnd,
        event_shape: tuple[int, ...],
        orderings: Orderings,
        sigma_range: tuple[float, float] | None,
        condition_width: int,
        dtype: str = "float32",
    ) -> None:
        """Create all weights; couplings start as the identity."""
        arguments = (sigma_range, condition_width, dtype)
        make_layers = functools.partial(orderings.layers, dtype)
        super().__init__(kind, front_end, event_shape, make_layers, *arguments, floored=orderings.floored)
        self.halving, self.num_last = orderings.halving, len(orderings.last)
        self.mirrored = SequenceLayer(orderings.mirrored, len(event_shape), dtype=dtype)
        self.checkpointed = track_weights(self)

    def _composed(self, layers: Sequence[FlowLayer], condition: tf.Tensor | None) -> bijectors.Composition:
        return bijectors.Composition([layer.step(condition) for layer in layers], len(self.event_shape), self.tf_dtype)

    def _conditional(
        self, events: tf.Tensor, condition: tf.Tensor | None, mirrored: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Compute log p(last half | other half) of scaled events in nats, (batch,), and map the last half of these."""
        layers = self.mirrored.layers if mirrored else self.flow.layers[: self.num_last]
        latents, log_det = self._composed(layers, condition).inverse_and_log_det(events)
        even, odd = split_halves(latents, self.halving)
        return self._normal(even if mirrored else odd) + log_det, latents

    def _normal(self, half: tf.Tensor) -> tf.Tensor:
        """Return the log-density of half the latents in nats, (batch,)."""
        axes = list(range(1, half.shape.rank))
        return -0.5 * tf.reduce_sum(half**2, axes) - 0.25 * self.dimensions * math.log(2.0 * math.pi)

    def conditional_log_prob(self, x: TensorLike, sigma: Sigma | None = None, mirrored: bool = False) -> tf.Tensor:
        """Compute the log-density of the odd half given the even one in nats, or of the even half given the odd one.

        Args:
            x: whole events, (batch,) + event_shape.
            sigma: as in :meth:`log_prob`.
            mirrored: the even half given the odd one.

        Returns:
            (batch,), summed over the half.
        """
        x = self._events(x)
        level = self._sigma(sigma, x)
        scaled, log_det = self._scale(level).inverse_and_log_det(x)
        return self._conditional(scaled, self._condition(level), mirrored)[0] + 0.5 * log_det

    def training_terms(self, x: TensorLike, sigma: Sigma | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        """Compute the log-density and log p_B(even half | odd half), in nats; see :class:`tfsep.priors.base.Prior`."""
        return self.log_prob(x, sigma), self.conditional_log_prob(x, sigma, mirrored=True)

    def denoising_terms(
        self, x: TensorLike, sigma: Sigma | None = None
    ) -> tuple[tf.Tensor, tf.Tensor | None, tf.Tensor]:
        """Compute :meth:`training_terms` and :meth:`denoise` by one evaluation of each network."""
        if self.score_of == "gradient":
            return super().denoising_terms(x, sigma)
        x = self._events(x)
        level = self._sigma(sigma, x)
        found = self._by_conditionals(x, level)
        rest = self._composed(self.flow.layers[self.num_last :], self._condition(level))
        latents, log_det = rest.inverse_and_log_det(found.mapped)
        of_rest = self._normal(split_halves(latents, self.halving)[0]) + log_det
        denoised = x + broadcast_to_event(level, x) ** 2 * found.score
        return found.of_odd + of_rest + found.log_det, found.of_even + 0.5 * found.log_det, denoised

    def _by_conditionals(self, x: tf.Tensor, level: tf.Tensor) -> Conditionals:
        condition = self._condition(level)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            scaled, log_det = self._scale(level).inverse_and_log_det(x)
            even, odd = split_halves(scaled, self.halving)
            given_even, given_odd = tf.stop_gradient(even), tf.stop_gradient(odd)
            of_odd, mapped = self._conditional(merge_halves(given_even, odd, self.halving), condition, False)
            of_even, _ = self._conditional(merge_halves(even, given_odd, self.halving), condition, True)
            total = tf.reduce_sum(of_odd + of_even)
        return Conditionals(tape.gradient(total, x), of_odd, of_even, mapped, log_det)

    def score(self, x: TensorLike, sigma: Sigma | None = None) -> tf.Tensor:
        """Compute the scores of the conditionals, or the gradient of the log-density: (batch,) + event_shape."""
        if self.score_of == "gradient":
            return super().score(x, sigma)
        x = self._events(x)
        return self._by_conditionals(x, self._sigma(sigma, x)).score

    def initialise(self, x: TensorLike, sigma: Sigma | None = None) -> None:
        """Set the data-dependent weights of both orderings; see :class:`FlowPrior`."""
        super().initialise(x, sigma)
        x = self._events(x)
        level = self._sigma(sigma, x)
        self.mirrored.initialise(self._scale(level).inverse_and_log_det(x)[0], self._condition(level))


def predicted_half(
    halving: tuple[int, ...], odd: bool, make_network: NetworkFactory, bound: float | None, dtype: str, floored: bool
) -> list[FlowLayer]:
    """Build the layers that standardise one half of an event by what a network computes from the other.

    Args:
        halving: see :class:`Orderings`.
        odd: whether the odd half is the one.
        make_network: of the network, (in_channels, out_channels) -> network.
        bound: soft clamp of log-scales in nats, None for none.
        dtype: of the layers.
        floored: see :class:`MultiscaleLayer`.
    """
    rank, ones = len(halving) + 1, (1,) * len(halving)
    # The block that a Multiscale maps is the last one, here that of the half which Halves is told is given.
    ends = [HalvesLayer(halving, ones, odd, reverse, dtype=dtype) for reverse in (False, True)]
    identity = SequenceLayer([], rank, dtype=dtype)
    level = MultiscaleLayer(identity, 1, 1, make_network, bound, floored, dtype=dtype)
    return [ends[0], level, ends[1]]


def halving_of(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return factors that halve time, or frames while their number is even, and bins after that.

    Args:
        shape: (time, 1) or (frame, bin, 1).
    """
    if len(shape) == 2:
        return (2,)
    return (2, 1) if shape[0] % 2 == 0 else (1, 2)
