"""Gated convolutions over (frame, bin): zero at first, a square receptive field, and conditioning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.signals import noise_tensor
from tfsep.networks.gated_conv import GatedConv

Make = Callable[..., Any]


@pytest.mark.parametrize("condition_width", [0, 5])
def test_the_first_output_is_zero(condition_width: int) -> None:
    network = GatedConv(2, 6, width=8, condition_width=condition_width)
    condition = noise_tensor(3, condition_width) if condition_width else None
    output = network(noise_tensor(3, 4, 8, 2), condition)
    assert output.shape == (3, 4, 8, 6)
    np.testing.assert_array_equal(output, 0.0)


@pytest.mark.parametrize(
    ("num_layers", "kernel_size", "reach"),
    [(1, 3, (1, 1)), (3, 3, (3, 3)), (2, 5, (4, 4)), (2, (1, 5), (0, 4))],
)
def test_the_receptive_field_is_a_rectangle(
    num_layers: int, kernel_size: int | tuple[int, int], reach: tuple[int, int], scrambled: Make, reach_of: Make
) -> None:
    network = scrambled(GatedConv(1, 2, width=8, num_layers=num_layers, kernel_size=kernel_size))
    seen = reach_of(network, noise_tensor(1, 11, 13, 1), (5, 6)) > 0.0
    expected = np.zeros((11, 13), bool)
    expected[5 - reach[0] : 6 + reach[0], 6 - reach[1] : 7 + reach[1]] = True
    np.testing.assert_array_equal(seen, expected)


def test_all_sides_are_padded_alike(scrambled: Make) -> None:
    """Mirrored kernels map a mirrored input to the mirrored output."""
    network = scrambled(GatedConv(1, 2, width=8))
    x = noise_tensor(2, 6, 7, 1)
    expected = tf.reverse(network(x), [1, 2])
    for conv in network.gated:
        kernel, bias = conv.get_weights()
        conv.set_weights([kernel[::-1, ::-1], bias])
    np.testing.assert_allclose(network(tf.reverse(x, [1, 2])), expected, atol=1e-4)


def test_a_condition_changes_its_own_example_only(scrambled: Make) -> None:
    network, x = scrambled(GatedConv(1, 2, width=8, condition_width=3)), noise_tensor(2, 4, 6, 1)
    condition = noise_tensor(2, 3, seed=1).numpy()
    before = network(x, tf.constant(condition))
    condition[1] += 1.0
    after = network(x, tf.constant(condition))
    np.testing.assert_allclose(after[0], before[0], atol=1e-6)
    assert np.abs(after[1] - before[1]).max() > 1e-3


def test_its_settings_make_it_again(scrambled: Make) -> None:
    network = scrambled(GatedConv(1, 2, width=8, condition_width=3))
    copy = GatedConv.from_config(network.get_config())
    copy.set_weights(network.get_weights())
    x, condition = noise_tensor(2, 4, 6, 1), noise_tensor(2, 3)
    np.testing.assert_array_equal(copy(x, condition), network(x, condition))
