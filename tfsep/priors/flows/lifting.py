r"""Lifting flow: a level predicts every other sample, frame or bin from the rest and passes the rest on.

One level is a lazy wavelet transform followed by the prediction step of the lifting scheme, here with a scale,

.. math:: z = \bigl(y_{odd} - \mu(y_{even}, \sigma)\bigr)\, e^{-s(y_{even}, \sigma)},
          \qquad y_{even} \rightarrow \text{next level},

so that a level models what leaves by :math:`\mathcal{N}(\mu, e^{2s})`. Predictor and scale are one network that sees
all that stays: over waveforms :class:`tfsep.networks.spectral_gain.SpectralGain`, over spectrograms
:class:`tfsep.networks.spectrogram_dense.SpectrogramDense`. The closer its prediction is to the noise, the closer the
density is to the truth. What the last level passes on, little by then, goes through the steps of a Glow.

A waveform is halved in time; a spectrogram in frames as long as their number is even, then in bins.

What leaves a level together is independent given what stays. That is no loss where what stays fixes the rest but for
the noise, as of one tone, nor for a Markov chain along the halved axis; of a Gaussian over several frames whose bins
are correlated too, the model falls short by what the leaving frames' own correlation is worth.

Sources: Sweldens 1998 (lifting scheme), section 3; Dinh et al. 2017 (RealNVP), section 3.6 for the multiscale density;
Kingma and Dhariwal 2018 (Glow), table 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from tfsep.audio.front_end import FrontEnd
from tfsep.bijectors.squeeze import squeezed_shape
from tfsep.networks.spectral_gain import SpectralGain
from tfsep.networks.spectrogram_dense import SpectrogramDense
from tfsep.priors.flows.conditioners import first_factors, network_dtype, network_factory
from tfsep.priors.flows.flow import FlowPrior
from tfsep.priors.flows.flow_layers import FlowLayer, MultiscaleLayer, NetworkFactory, SequenceLayer, SqueezeLayer
from tfsep.priors.flows.glow import glow_steps


def lifting(
    front_end: FrontEnd,
    event_shape: tuple[int, ...],
    num_levels: int = 3,
    squeeze: int | Sequence[int] = 16,
    num_steps: int = 8,
    sigma_range: tuple[float, float] | None = (0.01, 1.0),
    condition_width: int = 32,
    bound: float = 7.0,
    seed: int = 0,
    dtype: str = "float32",
    trunk: Mapping[str, Any] | None = None,
    precision: str | None = None,
    **network: Any,
) -> FlowPrior:
    """Build a lifting flow.

    Args:
        front_end: from waveforms to features.
        event_shape: (time, 1), time divisible by squeeze * 2^num_levels, or (frame, bin, 1).
        num_levels: levels that predict one half from the other.
        squeeze: factor along every spatial axis, or a list of one for each, by which what remains becomes channels.
        num_steps: Glow steps on it.
        sigma_range: noise levels, None for a clean flow.
        condition_width: size of the noise embedding.
        bound: soft clamp of log-scales in nats; it must reach the log of the smallest noise over the data's scale.
        seed: of the initial rotations.
        dtype: "float32" or "float64".
        trunk: settings of the steps' networks (width, num_layers, ...).
        precision: what all networks compute in, "bfloat16" over spectrograms; None is ``dtype``.
        network: settings of the predictors.

    Raises:
        ValueError: for events of several channels, or of a shape that the levels cannot halve, or a precision that the
            networks do not compute in.
    """
    if len(event_shape) not in (2, 3) or event_shape[-1] != 1:
        raise ValueError(f"a lifting flow is a density over events (time, 1) or (frame, bin, 1), got {event_shape}")
    if num_levels < 1 or num_steps < 1:
        raise ValueError(f"num_levels and num_steps must be at least 1, got {num_levels} and {num_steps}")
    if precision is not None and len(event_shape) == 2:
        why = "whose predictors take Fourier transforms"
        raise ValueError(f"precision must be None for a lifting flow over waves, {why}; got {precision!r}")
    condition, policy = condition_width if sigma_range else 0, network_dtype(dtype, precision)

    def predictor(positions: tuple[int, ...]) -> NetworkFactory:
        def make(in_channels: int, out_channels: int) -> keras.layers.Layer:
            settings = {"condition_width": condition, "dtype": policy, **network}
            if len(positions) == 1:
                return SpectralGain(positions[0], out_channels, **settings)
            frames, bins = positions
            return SpectrogramDense((frames, bins), in_channels, out_channels, **settings)

        return make

    def level_from(shape: tuple[int, ...], level: int) -> list[FlowLayer]:
        if level == num_levels:
            factors = first_factors(shape, squeeze)
            networks = network_factory(event_shape, condition, dtype, **{"precision": precision, **(trunk or {})})
            steps = glow_steps(squeezed_shape(shape, factors), num_steps, networks, bound, seed, dtype)
        else:
            factors = halving(shape)
            *positions, _ = squeezed_shape(shape, factors)
            inner = SequenceLayer(level_from((*positions, 1), level + 1), len(shape), dtype=dtype)
            steps = [MultiscaleLayer(inner, 1, 1, predictor(tuple(positions)), bound, dtype=dtype)]
        return [SqueezeLayer(factors, dtype=dtype), *steps, SqueezeLayer(factors, reverse=True, dtype=dtype)]

    def make_layers() -> list[FlowLayer]:
        return level_from(tuple(event_shape), 0)

    return FlowPrior("lifting", front_end, event_shape, make_layers, sigma_range, condition_width, dtype)


def halving(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Factors that halve time, or frames while their number is even, and bins after that.

    Args:
        shape: (time, 1) or (frame, bin, 1).
    """
    if len(shape) == 2:
        return (2,)
    return (2, 1) if shape[0] % 2 == 0 else (1, 2)
