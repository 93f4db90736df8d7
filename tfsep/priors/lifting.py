r"""Lifting flow over waveforms: a level predicts the odd samples from the even ones and passes the even ones on.

One level is a lazy wavelet transform followed by the prediction step of the lifting scheme, here with a scale,

.. math:: z = \bigl(y_{odd} - \mu(y_{even}, \sigma)\bigr)\, e^{-s(y_{even}, \sigma)},
          \qquad y_{even} \rightarrow \text{next level},

so that a level models the odd samples by :math:`\mathcal{N}(\mu, e^{2s})`. Predictor and scale are one
:class:`tfsep.networks.spectral_gain.SpectralGain`, which sees the whole frame: the closer its prediction is to the
noise, the closer the density is to the truth. The even samples of the last level, few by then, go through the steps
of a Glow.

Sources: Sweldens 1998 (lifting scheme), section 3; Dinh et al. 2017 (RealNVP), section 3.6 for the multiscale density;
Kingma and Dhariwal 2018 (Glow), table 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfsep.audio.front_end import FrontEnd
from tfsep.bijectors.squeeze import squeezed_shape
from tfsep.networks.spectral_gain import SpectralGain
from tfsep.priors.conditioners import network_factory
from tfsep.priors.flow import FlowPrior
from tfsep.priors.flow_layers import FlowLayer, MultiscaleLayer, NetworkFactory, SequenceLayer, SqueezeLayer
from tfsep.priors.glow import glow_steps


def lifting(
    front_end: FrontEnd,
    event_shape: tuple[int, ...],
    num_levels: int = 3,
    squeeze: int = 16,
    num_steps: int = 8,
    sigma_range: tuple[float, float] | None = (0.01, 1.0),
    condition_width: int = 32,
    bound: float = 7.0,
    seed: int = 0,
    dtype: str = "float32",
    trunk: Mapping[str, Any] | None = None,
    **network: Any,
) -> FlowPrior:
    """Build a lifting flow.

    Args:
        front_end: from waveforms to features; its domain must be "wave".
        event_shape: (time, 1), time divisible by squeeze * 2^num_levels.
        num_levels: levels that predict odd from even samples.
        squeeze: factor by which the remaining samples become channels.
        num_steps: Glow steps on them.
        sigma_range: noise levels, None for a clean flow.
        condition_width: size of the noise embedding.
        bound: soft clamp of log-scales in nats; it must reach the log of the smallest noise over the data's scale.
        seed: of the initial rotations.
        dtype: "float32" or "float64".
        trunk: settings of the steps' WaveNets (width, num_layers, ...).
        network: settings of :class:`tfsep.networks.spectral_gain.SpectralGain`.

    Raises:
        ValueError: for events that are not waveforms, or of a length that the levels cannot halve.
    """
    if len(event_shape) != 2 or event_shape[1] != 1:
        raise ValueError("a lifting flow is a density over waves, events (time, 1)")
    if num_levels < 1 or num_steps < 1:
        raise ValueError(f"num_levels and num_steps must be at least 1, got {num_levels} and {num_steps}")
    condition = condition_width if sigma_range else 0

    def predictor(num_samples: int) -> NetworkFactory:
        def make(in_channels: int, out_channels: int) -> SpectralGain:
            del in_channels
            return SpectralGain(num_samples, out_channels, condition_width=condition, dtype=dtype, **network)

        return make

    def level_from(num_samples: int, level: int) -> list[FlowLayer]:
        if level == num_levels:
            shape = squeezed_shape((num_samples, 1), (squeeze,))
            wavenets = network_factory(event_shape, condition, dtype, **dict(trunk or {}))
            steps = glow_steps(shape, num_steps, wavenets, bound, seed, dtype)
            return [SqueezeLayer((squeeze,), dtype=dtype), *steps, SqueezeLayer((squeeze,), reverse=True, dtype=dtype)]
        half = squeezed_shape((num_samples, 1), (2,))[0]
        inner = SequenceLayer(level_from(half, level + 1), 2, dtype=dtype)
        return [
            SqueezeLayer((2,), dtype=dtype),
            MultiscaleLayer(inner, 1, 1, predictor(half), bound, dtype=dtype),
            SqueezeLayer((2,), reverse=True, dtype=dtype),
        ]

    def make_layers() -> list[FlowLayer]:
        return level_from(event_shape[0], 0)

    return FlowPrior("lifting", front_end, event_shape, make_layers, sigma_range, condition_width, dtype)
