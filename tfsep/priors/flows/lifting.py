r"""Lifting flow: a level predicts every other sample, frame or bin from the rest and passes the rest on.

One level is a lazy wavelet transform followed by the prediction step of the lifting scheme, here
with a scale,

.. math:: z = \bigl(y_{odd} - \mu(y_{even}, \sigma)\bigr)\, e^{-s(y_{even}, \sigma)},
          \qquad y_{even} \rightarrow \text{next level},

so that a level models what is split off by :math:`\mathcal{N}(\mu, e^{2s})`. Predictor and scale
are one network that sees all that is kept: over waveforms
:class:`tfsep.networks.spectral_gain.SpectralGain`, over spectrograms
:class:`tfsep.networks.spectrogram_dense.SpectrogramDense`. The closer its prediction is to the
noise, the closer the density is to the truth. What the last level passes on, little by then, goes
through the steps of a Glow.

A waveform is halved in time; a spectrogram in frames as long as their number is even, then in bins.

All that one level splits off is modelled as independent given what is kept. That is no loss where
what is kept fixes the rest but for the noise, as of one tone, nor for a Markov chain along the
halved axis. Of a Gaussian over several frames whose bins are correlated too, the model misses the
correlation within the frames that are split off.

With ``score_of="conditionals"`` a second network predicts the even half from the odd one, for the
score (:mod:`tfsep.priors.flows.orderings`); the density is the same.

Sources: Sweldens 1998 (lifting scheme), section 3; Dinh et al. 2017 (RealNVP), section 3.6 for the
multiscale density; Kingma and Dhariwal 2018 (Glow), table 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from tfsep.axes import Settings
from tfsep.bijectors.squeeze import squeezed_shape
from tfsep.priors.flows.conditioners import NetworkSettings, predictor
from tfsep.priors.flows.flow_layers import FlowLayer, MultiscaleLayer, NetworkFactory, SequenceLayer, SqueezeLayer
from tfsep.priors.flows.glow import glow_steps
from tfsep.priors.flows.multiscale import first_factors
from tfsep.priors.flows.orderings import Orderings, halving_of, predicted_half
from tfsep.priors.flows.settings import FlowSettings
from tfsep.signatures import keyword_parameters, refuse_unknown


@dataclass(frozen=True, kw_only=True)
class LiftingSettings(FlowSettings):
    """Settings of a lifting flow over (time, 1), time divisible by squeeze * 2^num_levels, or (frame, bin, 1).

    Attributes:
        num_levels: levels that predict one half from the other, at least 1.
        squeeze: factor along every spatial axis, or a list of one for each, by which what remains
            becomes channels.
        num_steps: Glow steps on what remains, at least 1.
        bound: soft clamp of log-scales in nats, above 0, None for none; it must reach the log of
            the smallest noise over the data's scale.
        seed: of the initial rotations.
        trunk: settings of the Glow steps' networks, by name (network, width, num_layers, ...).
        precision: what all networks compute in, "bfloat16" over spectrograms; None is ``dtype``.
        width: hidden units of the predictors; None is 128 over waves and 256 over spectrograms.
        num_blocks: residual blocks of the predictors; None is 2.
        local_width: over waves: channels of the predictors' WaveNet, 0 for none; None is 48.
        local_layers: over waves: gated layers of the predictors' WaveNet; None is 3.
        local_block: over waves: samples that are one position of the predictors' WaveNet; None is
            8.
    """

    kind: ClassVar[str] = "lifting"
    num_levels: int = 3
    num_steps: int = 8
    bound: float | None = 7.0
    seed: int = 0
    trunk: Settings | None = None
    precision: str | None = None
    width: int | None = None
    num_blocks: int | None = None
    local_width: int | None = None
    local_layers: int | None = None
    local_block: int | None = None

    def layers(self, event_shape: tuple[int, ...]) -> list[FlowLayer]:
        """Build the layers; see :meth:`FlowSettings.layers`.

        Raises:
            ValueError: for events of several channels, or of a shape that the levels cannot halve,
                or a precision that the networks do not compute in.
        """
        return self._layers_from(event_shape, 0, self._trunk_networks(event_shape))

    def orderings(self, event_shape: tuple[int, ...]) -> Orderings:
        """Build the layers of both orderings; the first level's network has a mirrored one beside it.

        Raises:
            ValueError: as :meth:`layers`.
        """
        networks, halving = self._trunk_networks(event_shape), halving_of(event_shape)
        *positions, _ = squeezed_shape(event_shape, halving)

        def predicted(odd: bool) -> list[FlowLayer]:
            network = self._predictor(tuple(positions))
            return predicted_half(halving, odd, network, self.bound, self.dtype, floored=False)

        last, rest = predicted(odd=True), self._layers_from((*positions, 1), 1, networks)
        return Orderings(halving, last, predicted(odd=False), rest)

    def _trunk_networks(self, event_shape: tuple[int, ...]) -> NetworkFactory:
        """Check the settings and return the factory of the Glow steps' networks; see :meth:`layers`."""
        if len(event_shape) not in (2, 3) or event_shape[-1] != 1:
            raise ValueError(f"a lifting flow is a density over events (time, 1) or (frame, bin, 1), got {event_shape}")
        if self.num_levels < 1 or self.num_steps < 1:
            given = f"{self.num_levels} and {self.num_steps}"
            raise ValueError(f"num_levels and num_steps must be at least 1, got {given}")
        trunk = {"precision": self.precision, **(self.trunk or {})}
        refuse_unknown("the trunk of prior 'lifting'", trunk, keyword_parameters(NetworkSettings))
        make_settings: Callable[..., NetworkSettings] = NetworkSettings
        return make_settings(**trunk).network_factory(event_shape, self.network_condition, self.dtype)

    def _layers_from(self, shape: tuple[int, ...], level: int, networks: NetworkFactory) -> list[FlowLayer]:
        """Build the layers from ``level`` on, for events of ``shape`` at its entrance."""
        dtype = self.dtype
        if level == self.num_levels:
            factors = first_factors(shape, self.squeeze)
            inside = squeezed_shape(shape, factors)
            steps = glow_steps(inside, self.num_steps, networks, self.bound, self.seed, dtype)
        else:
            factors = halving_of(shape)
            *positions, _ = squeezed_shape(shape, factors)
            inner = SequenceLayer(self._layers_from((*positions, 1), level + 1, networks), len(shape), dtype=dtype)
            steps = [MultiscaleLayer(inner, 1, 1, self._predictor(tuple(positions)), self.bound, dtype=dtype)]
        return [SqueezeLayer(factors, dtype=dtype), *steps, SqueezeLayer(factors, reverse=True, dtype=dtype)]

    def _predictor(self, positions: tuple[int, ...]) -> NetworkFactory:
        """Return the factory of the network that predicts one half at these positions from the other."""
        names = ("width", "num_blocks", "local_width", "local_layers", "local_block")
        given = {each: getattr(self, each) for each in names}
        return predictor(positions, given, self.network_condition, self.dtype, self.precision)
