"""The conditioner networks: WaveNet along time; over (frame, bin) gated convolutions, or WaveNet along bins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from tfsep.networks.bin_wavenet import BinWaveNet
from tfsep.networks.gated_conv import GatedConv
from tfsep.networks.wavenet import WaveNet
from tfsep.priors.flows.flow_layers import NetworkFactory

NETWORKS: dict[tuple[int, str], type[keras.layers.Layer]] = {
    (2, "wavenet"): WaveNet,
    (3, "gated_conv"): GatedConv,
    (3, "wavenet"): BinWaveNet,
}
_USUAL = {2: "wavenet", 3: "gated_conv"}


def network_factory(
    event_shape: tuple[int, ...],
    condition_width: int,
    dtype: str,
    network: str | None = None,
    precision: str | None = None,
    **settings: Any,
) -> NetworkFactory:
    """(in_channels, out_channels) -> a network for events of this rank, with the given settings.

    Args:
        event_shape: (time, channel) or (frame, bin, channel).
        condition_width: size of the noise condition, 0 for none.
        dtype: dtype policy.
        network: "wavenet", over spectrograms along their bins, or over spectrograms "gated_conv"; None is the first
            over waves and the second over spectrograms.
        precision: what the networks compute in; see :func:`network_dtype`.
        settings: the network's own (width, num_layers, kernel_size, ...).

    Raises:
        ValueError: for a network that is not known for events of this rank.
    """
    rank = len(event_shape)
    kind = _USUAL[rank] if network is None else network
    if (rank, kind) not in NETWORKS:
        known = ", ".join(name for each, name in NETWORKS if each == rank)
        raise ValueError(f"the network of a prior over events {event_shape} must be one of {known}, got {network!r}")
    layer, policy = NETWORKS[rank, kind], network_dtype(dtype, precision)

    def make(in_channels: int, out_channels: int) -> keras.layers.Layer:
        return layer(in_channels, out_channels, condition_width=condition_width, dtype=policy, **settings)

    return make


def network_dtype(dtype: str, precision: str | None) -> str:
    """The dtype policy of the conditioner networks.

    With ``precision`` "bfloat16" they compute in bfloat16 and keep float32 weights; what they give is cast back, so
    that the chain and its log-determinants stay in float32. None is the prior's own ``dtype``.

    Raises:
        ValueError: for another precision, or one that does not suit the dtype.
    """
    if precision is None:
        return dtype
    if precision != "bfloat16" or dtype != "float32":
        raise ValueError(
            "precision must be None, or 'bfloat16' for the networks of a float32 prior; "
            f"got {precision!r} for a {dtype} prior"
        )
    return "mixed_bfloat16"


def first_factors(event_shape: tuple[int, ...], squeeze: int | Sequence[int]) -> tuple[int, ...]:
    """Squeeze factors along the spatial axes, from one for all of them or one for each.

    Raises:
        ValueError: if there are more or fewer factors than axes.
    """
    rank = len(event_shape) - 1
    factors = (squeeze,) * rank if isinstance(squeeze, int) else tuple(squeeze)
    if len(factors) != rank:
        raise ValueError(f"squeeze must be one factor or {rank} of them, got {squeeze}")
    return factors


def level_factors(event_shape: tuple[int, ...], squeeze: int | Sequence[int], num_levels: int) -> list[tuple[int, ...]]:
    """Squeeze factors of each level: ``squeeze`` at first, then 2; an axis that a list gives 1 is never squeezed.

    Raises:
        ValueError: if there are more or fewer factors than spatial axes.
    """
    first = first_factors(event_shape, squeeze)
    rest = tuple(1 if factor == 1 and not isinstance(squeeze, int) else 2 for factor in first)
    return [first if level == 0 else rest for level in range(num_levels)]


def check_waves(kind: str, event_shape: tuple[int, ...], instead: str) -> None:
    """Refuse events that are not waves (time, 1) with a ValueError that names a kind to take instead."""
    if len(event_shape) != 2 or event_shape[1] != 1:
        raise ValueError(f"{kind} is a density over waves, events (time, 1); over spectrograms take {instead}")
