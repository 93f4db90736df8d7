"""The reach and the conditioning of the WaveNet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.signals import noise_tensor
from tfsep.networks.wavenet import WaveNet

Make = Callable[..., Any]


@pytest.mark.parametrize("condition_width", [0, 5])
def test_the_first_output_is_zero(condition_width: int) -> None:
    network = WaveNet(2, 6, width=8, num_layers=3, condition_width=condition_width)
    condition = noise_tensor(4, condition_width) if condition_width else None
    output = network(noise_tensor(4, 16, 2), condition)
    assert output.shape == (4, 16, 6)
    np.testing.assert_array_equal(output, 0.0)


@pytest.mark.parametrize(
    ("num_layers", "kernel_size", "dilation_cycle", "reach"), [(1, 3, 6, 1), (3, 3, 6, 7), (4, 3, 2, 6), (2, 5, 6, 6)]
)
def test_the_receptive_field_is_symmetric_and_as_long_as_stated(
    num_layers: int, kernel_size: int, dilation_cycle: int, reach: int, scrambled: Make, reach_of: Make
) -> None:
    """Reach on either side: the sum of (kernel_size - 1) / 2 * dilation over the layers."""
    network = scrambled(
        WaveNet(1, 2, width=8, num_layers=num_layers, kernel_size=kernel_size, dilation_cycle=dilation_cycle)
    )
    seen = np.flatnonzero(reach_of(network, noise_tensor(1, 41, 1), (20,)))
    assert (seen.min(), seen.max()) == (20 - reach, 20 + reach)


def test_both_ends_are_padded_alike(scrambled: Make) -> None:
    """A network whose kernels are mirrored in time maps a mirrored input to the mirrored output."""
    network = scrambled(WaveNet(1, 2, width=8, num_layers=3))
    x = noise_tensor(2, 12, 1)
    expected = tf.reverse(network(x), [1])
    for conv in network.gated:
        kernel, bias = conv.get_weights()
        taps = kernel.reshape(conv.kernel_size, conv.in_channels, conv.out_channels)
        conv.set_weights([taps[::-1].reshape(kernel.shape), bias])
    np.testing.assert_allclose(network(tf.reverse(x, [1])), expected, atol=1e-4)


def test_a_condition_changes_its_own_example_only(scrambled: Make) -> None:
    network, x = scrambled(WaveNet(1, 2, width=8, num_layers=2, condition_width=3)), noise_tensor(2, 12, 1)
    condition = noise_tensor(2, 3, seed=1).numpy()
    before = network(x, tf.constant(condition))
    condition[1] += 1.0
    after = network(x, tf.constant(condition))
    np.testing.assert_array_equal(after[0], before[0])
    assert np.abs(after[1] - before[1]).max() > 1e-3


def test_its_settings_make_it_again(scrambled: Make) -> None:
    network = scrambled(WaveNet(1, 2, width=8, num_layers=2, condition_width=3))
    copy = WaveNet.from_config(network.get_config())
    copy.set_weights(network.get_weights())
    x, condition = noise_tensor(2, 12, 1), noise_tensor(2, 3)
    np.testing.assert_array_equal(copy(x, condition), network(x, condition))


def test_double_precision_is_kept() -> None:
    network = WaveNet(1, 2, width=8, num_layers=2, dtype="float64")
    assert network(tf.zeros((1, 8, 1), tf.float64)).dtype == tf.float64
    assert {keras.backend.standardize_dtype(v.dtype) for v in network.variables} == {"float64"}
