"""The filter against a convolution, what the condition reaches, and the silent start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.signals import noise_tensor
from tfsep.networks.refinement import fold, unfold
from tfsep.networks.spectral_gain import SpectralGain

Make = Callable[..., Any]
TINY = {"width": 8, "num_blocks": 1, "local_width": 4, "local_layers": 1}


@pytest.mark.parametrize("local_width", [0, 4])
def test_the_first_output_is_zero(local_width: int) -> None:
    network = SpectralGain(16, 2, condition_width=3, **{**TINY, "local_width": local_width})
    np.testing.assert_array_equal(network(noise_tensor(3, 16, 1), noise_tensor(3, 3)), np.zeros((3, 16, 2)))


def test_constant_gains_are_a_filter_that_does_not_wrap() -> None:
    """Gains that the spectrum has no say in: their response, in both directions of time, by a direct sum."""
    network = SpectralGain(9, 2, **{**TINY, "local_width": 0})
    bias = np.random.default_rng(1).normal(size=(2, 2, 10))
    network.gains.bias.assign(bias.ravel())
    x = noise_tensor(3, 9, 1)
    response = np.fft.irfft(bias[0] + 1j * bias[1], 18)
    lags = np.subtract.outer(np.arange(9), np.arange(9)) % 18
    expected = np.einsum("cts,bs->btc", response[:, lags], x[..., 0])
    np.testing.assert_allclose(network(x), expected, atol=1e-5)


def test_gains_see_the_whole_spectrum(scrambled: Make) -> None:
    network = scrambled(SpectralGain(16, 1, **{**TINY, "local_width": 0}))
    time = np.arange(16) / 16
    low, high = (np.sin(2.0 * np.pi * k * time)[np.newaxis, :, np.newaxis].astype(np.float32) for k in (2, 6))
    apart = network(low).numpy() + network(high).numpy()
    assert np.abs(network(low + high).numpy() - apart).max() > 1e-2


def test_the_local_network_reads_the_frame_and_the_filtered_frame(scrambled: Make) -> None:
    network, x = scrambled(SpectralGain(16, 2, **TINY), spread=0.3), noise_tensor(2, 16, 1)
    wave = network.filtered(x)
    seen = fold(tf.transpose(tf.concat([x, wave], -1), [0, 2, 1]), 8)
    expected = wave + tf.transpose(unfold(network.local(seen), 8), [0, 2, 1])
    np.testing.assert_allclose(network(x), expected, rtol=1e-5, atol=1e-6)
    assert np.abs(network(x) - wave).max() > 1e-3


def test_a_condition_changes_its_own_example_only(scrambled: Make) -> None:
    network, x = scrambled(SpectralGain(16, 1, condition_width=3, **TINY), spread=0.3), noise_tensor(2, 16, 1)
    condition = noise_tensor(2, 3, seed=1).numpy()
    before = network(x, tf.constant(condition))
    condition[1] += 1.0
    after = network(x, tf.constant(condition))
    np.testing.assert_allclose(after[0], before[0], atol=1e-6)
    assert np.abs(after[1] - before[1]).max() > 1e-3


def test_its_settings_make_it_again(scrambled: Make) -> None:
    network = scrambled(SpectralGain(16, 2, condition_width=3, **TINY))
    copy = SpectralGain.from_config(network.get_config())
    copy.set_weights(network.get_weights())
    x, condition = noise_tensor(2, 16, 1), noise_tensor(2, 3)
    np.testing.assert_array_equal(copy(x, condition), network(x, condition))


def test_silence_has_finite_gradients(scrambled: Make) -> None:
    network, x = scrambled(SpectralGain(16, 1, **TINY)), tf.zeros((1, 16, 1))
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(network(x))
    gradients = tape.gradient(total, [x, *(variable.value for variable in network.trainable_variables)])
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_blocks_that_do_not_fill_a_frame_are_refused() -> None:
    with pytest.raises(ValueError, match="local_block must divide the 12 samples of a frame, got 8"):
        SpectralGain(12, 1, **TINY)
