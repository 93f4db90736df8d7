r"""Lifting flow over waveforms: every level predicts the odd samples from the even ones and passes the even ones on.

One level is a lazy wavelet transform followed by the prediction step of the lifting scheme, here with a scale,

.. math:: z = \bigl(y_{odd} - \mu(y_{even}, \sigma)\bigr)\, e^{-s(y_{even}, \sigma)}, \qquad y_{even} \rightarrow \text{next level},

so that a level models the odd samples by :math:`\mathcal{N}(\mu, e^{2s})`, and the last level's even samples go through
actnorm and affine couplings. Predictor and scale are one :class:`tfsep.networks.spectral_gain.SpectralGain`, which sees
the whole frame: the closer the prediction is to the noise, the closer the density is to the truth.

Sources: Sweldens 1998 (lifting scheme), section 3; Dinh et al. 2017 (RealNVP), section 3.6 for the multiscale density.
"""

from __future__ import annotations

from typing import Any

from tfsep.audio.front_end import FrontEnd
from tfsep.bijectors.masks import Mask
from tfsep.bijectors.squeeze import squeezed_shape
from tfsep.networks.spectral_gain import SpectralGain
from tfsep.priors.flow import FlowPrior
from tfsep.priors.flow_layers import (
    ActNormLayer,
    CouplingLayer,
    FlowLayer,
    MultiscaleLayer,
    NetworkFactory,
    SequenceLayer,
    SqueezeLayer,
)


def lifting(
    front_end: FrontEnd,
    event_shape: tuple[int, ...],
    num_levels: int = 6,
    num_steps: int = 2,
    sigma_range: tuple[float, float] | None = (0.01, 1.0),
    condition_width: int = 32,
    bound: float = 7.0,
    dtype: str = "float32",
    **network: Any,
) -> FlowPrior:
    """Build a lifting flow.

    Args:
        front_end: from waveforms to features; its domain must be "wave".
        event_shape: (time, 1), time divisible by 2^(num_levels + 1).
        num_levels: levels that predict odd from even samples.
        num_steps: affine couplings of the last level's remaining samples.
        sigma_range: noise levels, None for a clean flow.
        condition_width: size of the noise embedding.
        bound: soft clamp of log-scales in nats; it must reach the log of the smallest noise over the data's scale.
        dtype: "float32" or "float64".
        network: settings of :class:`tfsep.networks.spectral_gain.SpectralGain`.

    Raises:
        ValueError: for events that are not waveforms, or too short for the levels.
    """
    if len(event_shape) != 2 or event_shape[1] != 1:
        raise ValueError("a lifting flow is a density over waves, events (time, 1)")
    condition = condition_width if sigma_range else 0

    def network_at(num_samples: int) -> NetworkFactory:
        def make(in_channels: int, out_channels: int) -> SpectralGain:
            del in_channels
            return SpectralGain(num_samples, out_channels, condition_width=condition, dtype=dtype, **network)

        return make

    def last_steps(num_samples: int) -> list[FlowLayer]:
        layers: list[FlowLayer] = []
        for step in range(num_steps):
            mask = Mask("checkerboard", swap=step % 2 == 1)
            make_network = network_at(mask.part_shape((num_samples, 1))[0])
            layers += [
                ActNormLayer(1, 2, dtype=dtype),
                CouplingLayer((num_samples, 1), mask, make_network, False, bound, dtype=dtype),
            ]
        return layers

    def level_from(num_samples: int, level: int) -> list[FlowLayer]:
        if level == num_levels:
            return last_steps(num_samples)
        half = squeezed_shape((num_samples, 1), (2,))[0]
        inner = SequenceLayer(level_from(half, level + 1), 2, dtype=dtype)
        return [
            SqueezeLayer((2,), dtype=dtype),
            MultiscaleLayer(inner, 2, network_at(half), bound, dtype=dtype),
            SqueezeLayer((2,), reverse=True, dtype=dtype),
        ]

    def make_layers() -> list[FlowLayer]:
        return level_from(event_shape[0], 0)

    return FlowPrior("lifting", front_end, event_shape, make_layers, sigma_range, condition_width, dtype)
