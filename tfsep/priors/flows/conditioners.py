"""The conditioner networks: WaveNet along time or bins, gated convolutions, and what predicts a half from a half."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import keras

from tfsep.axes import Settings
from tfsep.networks.bin_wavenet import BinWaveNet
from tfsep.networks.gated_conv import GatedConv
from tfsep.networks.spectral_gain import SpectralGain
from tfsep.networks.spectrogram_dense import SpectrogramDense
from tfsep.networks.wavenet import WaveNet
from tfsep.priors.flows.flow_layers import NetworkFactory

NETWORKS: dict[tuple[int, str], type[keras.layers.Layer]] = {
    (2, "wavenet"): WaveNet,
    (3, "gated_conv"): GatedConv,
    (3, "wavenet"): BinWaveNet,
}
#: What predicts one half of an event from the other, by the number of spatial axes.
PREDICTORS: dict[int, tuple[str, type[keras.layers.Layer]]] = {
    1: ("spectral_gain", SpectralGain),
    2: ("spectrogram_dense", SpectrogramDense),
}
_USUAL = {2: "wavenet", 3: "gated_conv"}


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """Settings of a conditioner network; None is the network's own default.

    Attributes:
        network: "wavenet" (along time; over spectrograms along the bins) or "gated_conv"
            (spectrograms only); None is "wavenet" over waves and "gated_conv" over spectrograms.
        width: hidden channels of the network, at least 1; None is 48 in a WaveNet and 32 in gated
            convolutions.
        num_layers: gated layers of the network; None is 6 in a WaveNet and 2 in gated convolutions.
        kernel_size: taps of a convolution, an odd number; of gated convolutions one for both axes
            or (frame, bin); None is 3.
        dilation_base: of a WaveNet: the dilation of layer i is dilation_base ** (i %
            dilation_cycle); None is 2.
        dilation_cycle: of a WaveNet: layers after which the dilation starts again from 1; None is
            6.
        conditioning: how the noise level enters the network, "additive", "film" or "affine"; None
            is "additive".
        precision: what the networks compute in, "bfloat16" for those of a float32 prior; None is
            the prior's dtype.
    """

    network: str | None = None
    width: int | None = None
    num_layers: int | None = None
    kernel_size: int | Sequence[int] | None = None
    dilation_base: int | None = None
    dilation_cycle: int | None = None
    conditioning: str | None = None
    precision: str | None = None

    #: Fields that a network takes, each if it is not None.
    network_fields: ClassVar[tuple[str, ...]] = (
        "width",
        "num_layers",
        "kernel_size",
        "dilation_base",
        "dilation_cycle",
        "conditioning",
    )

    def given_to_network(self) -> dict[str, object]:
        """Return the fields that a network takes and that are not None, by name."""
        return {name: getattr(self, name) for name in self.network_fields if getattr(self, name) is not None}

    def network_factory(self, event_shape: tuple[int, ...], condition_width: int, dtype: str) -> NetworkFactory:
        """Return a function (in_channels, out_channels) -> a network for events of this rank.

        Args:
            event_shape: (time, channel) or (frame, bin, channel).
            condition_width: size of the noise condition, 0 for none.
            dtype: dtype policy.

        Raises:
            ValueError: for a network that is not known for events of this rank, or a setting that
                it does not have.
        """
        rank = len(event_shape)
        kind = _USUAL[rank] if self.network is None else self.network
        if (rank, kind) not in NETWORKS:
            known = ", ".join(name for each, name in NETWORKS if each == rank)
            raise ValueError(
                f"the network of a prior over events {event_shape} must be one of {known}, got {self.network!r}"
            )
        layer, policy = NETWORKS[rank, kind], network_dtype(dtype, self.precision)
        arguments = network_arguments(kind, layer, self.given_to_network())

        def make(in_channels: int, out_channels: int) -> keras.layers.Layer:
            return layer(in_channels, out_channels, condition_width=condition_width, dtype=policy, **arguments)

        return make


def predictor(
    positions: tuple[int, ...], given: Settings, condition_width: int, dtype: str, precision: str | None = None
) -> NetworkFactory:
    """Return the factory of networks that predict one half of an event from the whole of the other.

    Args:
        positions: spatial shape of a half, (time,) or (frame, bin).
        given: settings of the network, of which those that are None are left out.
        condition_width: size of the noise condition, 0 for none.
        dtype, precision: see :func:`network_dtype`.

    Raises:
        ValueError: for a setting that the network does not have, or a precision over waves.
    """
    if precision is not None and len(positions) == 1:
        raise ValueError(
            f"precision must be None over waves, whose predictors take Fourier transforms; got {precision!r}"
        )
    name, layer = PREDICTORS[len(positions)]
    arguments = network_arguments(name, layer, {each: value for each, value in given.items() if value is not None})
    policy = network_dtype(dtype, precision)

    def make(in_channels: int, out_channels: int) -> keras.layers.Layer:
        shape = positions if len(positions) == 1 else (positions, in_channels)
        return layer(*shape, out_channels, condition_width=condition_width, dtype=policy, **arguments)

    return make


def network_arguments(name: str, layer: type[keras.layers.Layer], given: Settings) -> Settings:
    """Return ``given``, after a check that the network takes all of it.

    Args:
        name: of the network, for the message.
        layer: its class.
        given: settings by name.

    Raises:
        ValueError: for a setting that the network does not have.
    """
    known = inspect.signature(layer).parameters
    for each in given:
        if each not in known:
            raise ValueError(f"network {name!r} has no setting {each!r}, got {given[each]!r}")
    return given


def network_dtype(dtype: str, precision: str | None) -> str:
    """Return the dtype policy of the conditioner networks.

    With ``precision`` "bfloat16" they compute in bfloat16 and keep float32 weights; what they give
    is cast back, so that the chain and its log-determinants stay in float32. None is the prior's
    own ``dtype``.

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
