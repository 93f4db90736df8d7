"""The conditioner network for each rank of event: WaveNet along time, gated convolutions over (frame, bin)."""

from __future__ import annotations

from typing import Any

import keras

from tfsep.networks.gated_conv import GatedConv
from tfsep.networks.wavenet import WaveNet
from tfsep.priors.flow_layers import NetworkFactory


def network_factory(event_shape: tuple[int, ...], condition_width: int, dtype: str, **settings: Any) -> NetworkFactory:
    """(in_channels, out_channels) -> a network for events of this rank, with the given settings.

    Args:
        event_shape: (time, channel) takes a WaveNet, (frame, bin, channel) a GatedConv.
        condition_width: size of the noise condition, 0 for none.
        dtype: dtype policy.
        settings: the network's own (width, num_layers, kernel_size, ...).
    """
    network = WaveNet if len(event_shape) == 2 else GatedConv

    def make(in_channels: int, out_channels: int) -> keras.layers.Layer:
        return network(in_channels, out_channels, condition_width=condition_width, dtype=dtype, **settings)

    return make


def level_factors(event_shape: tuple[int, ...], squeeze: int, num_levels: int) -> list[tuple[int, ...]]:
    """Squeeze factors of each level: ``squeeze`` at first, then 2, along every spatial axis."""
    rank = len(event_shape) - 1
    return [(squeeze if level == 0 else 2,) * rank for level in range(num_levels)]
