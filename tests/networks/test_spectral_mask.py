"""Mask networks: a logit per bin and one spread per frame, frame by frame or over time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep.networks.spectral_mask import FrameMask, TemporalMask

Make = Callable[..., Any]
NETWORKS = [FrameMask, TemporalMask]


def spectrogram(frames: int = 21, bins: int = 9, seed: int = 0) -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).normal(size=(2, frames, bins)), tf.float32)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("frames", [1, 21])
def test_gives_a_logit_per_bin_and_a_spread_per_frame(network: Any, frames: int) -> None:
    output = network(9, width=8, num_blocks=2)(spectrogram(frames))
    assert output.shape == (2, frames, 10)
    assert np.isfinite(output).all()


@pytest.mark.parametrize("network", NETWORKS)
def test_the_first_masks_of_two_sources_are_nearly_equal(network: Any) -> None:
    logits = tf.stack([network(9, width=32, num_blocks=2)(spectrogram())[..., :-1] for _ in range(2)])
    masks = tf.nn.softmax(logits, axis=0).numpy()
    assert np.abs(masks - 0.5).mean() < 0.2


def test_a_frame_mask_looks_at_its_own_frame_only(scrambled: Make, reach_of: Make) -> None:
    seen = np.flatnonzero(reach_of(scrambled(FrameMask(9, width=8)), spectrogram(), (10,)))
    assert seen.tolist() == [10]


@pytest.mark.parametrize(("num_blocks", "dilation_cycle", "reach"), [(1, 4, 1), (3, 4, 7), (3, 2, 4)])
def test_a_temporal_mask_looks_as_far_as_its_dilations(
    num_blocks: int, dilation_cycle: int, reach: int, scrambled: Make, reach_of: Make
) -> None:
    network = scrambled(TemporalMask(9, width=8, num_blocks=num_blocks, dilation_cycle=dilation_cycle))
    seen = np.flatnonzero(reach_of(network, spectrogram(), (10,)))
    assert (seen.min(), seen.max()) == (10 - reach, 10 + reach)


@pytest.mark.parametrize("network", NETWORKS)
def test_its_settings_make_it_again(network: Any, scrambled: Make) -> None:
    layer = scrambled(network(9, width=8, num_blocks=2))
    copy = network.from_config(layer.get_config())
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(copy(spectrogram()), layer(spectrogram()))
