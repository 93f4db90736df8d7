"""Masks by bands: every bin lies in one band, outputs have their places, settings make the network again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep.errors import InputError
from tfsep.networks.band_mask import BandMask, band_table
from tfsep.networks.spectral_mask import TrunkMask

Make = Callable[..., Any]
NETWORKS = [(BandMask, {"num_bands": 7, "width": 8, "num_blocks": 2}), (TrunkMask, {"width": 8, "num_blocks": 2})]
every_network = pytest.mark.parametrize(("network", "settings"), NETWORKS)


def spectrogram(frames: int = 21, bins: int = 33, seed: int = 0) -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).normal(size=(2, frames, bins)), tf.float32)


@pytest.mark.parametrize(("num_bins", "num_bands"), [(1025, 32), (33, 7), (9, 9), (5, 1)])
def test_every_bin_lies_in_one_band_and_bands_grow(num_bins: int, num_bands: int) -> None:
    index, inside = band_table(num_bins, num_bands)
    assert index[inside].tolist() == list(range(num_bins))
    widths = inside.sum(axis=1)
    assert len(widths) == num_bands and widths.min() >= 1 and widths[-1] == widths.max()


@every_network
@pytest.mark.parametrize("frames", [1, 21])
def test_gives_each_source_a_logit_per_bin_and_a_spread_per_frame(network: Any, settings: Any, frames: int) -> None:
    output = network(33, 3, **settings)(spectrogram(frames))
    assert output.shape == (2, 3, frames, 34)
    assert np.isfinite(output).all()


@every_network
def test_its_settings_make_it_again(network: Any, settings: Any, scrambled: Make) -> None:
    layer = scrambled(network(33, 2, **settings))
    copy = network.from_config(layer.get_config())
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(copy(spectrogram()), layer(spectrogram()))


def test_more_bands_than_bins_are_refused() -> None:
    with pytest.raises(InputError, match="num_bands must lie in 1..33, the bins, got 40"):
        BandMask(33, 2, num_bands=40)
