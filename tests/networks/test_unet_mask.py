"""The U-Net of masks: shapes of any number of frames, what it reads, and which sizes it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep.errors import InputError
from tfsep.networks.unet_mask import GroupNorm, UNetMask

Make = Callable[..., Any]
SIZES: dict[str, Any] = {"widths": (8, 16, 8), "patch": 2, "low_bins": 6, "low_bands": 3, "low_length": 64}


def spectrogram(frames: int = 21, bins: int = 33, seed: int = 0) -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).normal(size=(2, frames, bins)), tf.float32)


@pytest.mark.parametrize("frames", [1, 4, 21])
def test_gives_each_source_a_logit_per_bin_and_a_spread_per_frame(frames: int) -> None:
    output = UNetMask(33, 3, **SIZES)(spectrogram(frames), spectrogram(frames, 6))
    assert output.shape == (2, 3, frames, 34)
    assert np.isfinite(output).all()


def test_it_works_without_the_longer_window() -> None:
    network = UNetMask(33, 2, **{**SIZES, "low_bins": 0})
    assert (network.low_length, network.low_bins) == (0, 0)
    assert network(spectrogram()).shape == (2, 2, 21, 34)


def test_the_first_masks_are_nearly_equal() -> None:
    logits = UNetMask(33, 2, **SIZES)(spectrogram(), spectrogram(bins=6))[..., :-1]
    assert np.abs(tf.nn.softmax(logits, axis=1).numpy() - 0.5).mean() < 0.2


def test_low_bins_reach_the_masks_and_frames_see_their_neighbours(scrambled: Make) -> None:
    network = scrambled(UNetMask(33, 2, **SIZES))
    x, low = spectrogram(), spectrogram(bins=6)
    before = network(x, low)
    changed = network(x, low + tf.one_hot([10], 21)[0][:, tf.newaxis])
    assert np.abs(changed - before)[:, :, 10].max() > 1e-4
    # Normalisation is over all frames, so a change of one frame is felt a little in all of them.
    moved = np.abs(network(x + tf.one_hot([10], 21)[0][:, tf.newaxis], low) - before).max(axis=(0, 1, 3))
    assert moved[10] > 3.0 * moved[0] > 0.0


def test_group_norm_gives_groups_of_zero_mean_and_unit_variance() -> None:
    x = tf.constant(np.random.default_rng(0).normal(3.0, 5.0, size=(2, 6, 10, 16)), tf.float32)
    found = np.reshape(GroupNorm(16)(x), (2, 60, 2, 8))
    np.testing.assert_allclose(found.mean(axis=(1, 3)), 0.0, atol=1e-5)
    np.testing.assert_allclose(found.std(axis=(1, 3)), 1.0, atol=1e-3)


def test_mixed_precision_gives_nearly_the_same_output(scrambled: Make) -> None:
    exact = scrambled(UNetMask(33, 2, **SIZES))
    mixed = UNetMask(33, 2, **SIZES, dtype="mixed_bfloat16")
    mixed.set_weights(exact.get_weights())
    expected, found = (network(spectrogram(), spectrogram(bins=6)).numpy() for network in (exact, mixed))
    assert np.abs(found.astype(np.float32) - expected).max() < 0.1 * expected.std()
    assert all(weight.dtype == "float32" for weight in mixed.weights)


def test_its_settings_make_it_again(scrambled: Make) -> None:
    layer = scrambled(UNetMask(33, 3, **SIZES))
    copy = UNetMask.from_config(layer.get_config())
    copy.set_weights(layer.get_weights())
    given = spectrogram(), spectrogram(bins=6)
    np.testing.assert_array_equal(copy(*given), layer(*given))


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"widths": ()}, "widths and patch must be at least 1"),
        ({"patch": 5}, "patch and 3 widths need a multiple of 20 bins, got 32"),
        ({"low_bins": 7}, "low_bands must divide low_bins and be at most 16, got 3 and 7"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(settings: dict[str, Any], rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        UNetMask(33, 2, **{**SIZES, **settings})
