"""The masked network: what each output may see, and what a condition reaches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.signals import noise_tensor
from tfsep.networks.made import Made

Make = Callable[..., Any]


def seen(network: Made, x: tf.Tensor) -> np.ndarray:
    """Which input (column) each dimension (row) depends on."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        output = network(x)
    gradient = tape.jacobian(output, x, experimental_use_pfor=False)
    return np.abs(gradient[0, :, :, 0]).sum(1) > 0.0


@pytest.mark.parametrize(("num_dimensions", "width", "num_layers"), [(5, 5, 1), (5, 16, 2), (1, 4, 1)])
def test_an_output_sees_all_inputs_before_it_and_no_other(
    num_dimensions: int, width: int, num_layers: int, scrambled: Make
) -> None:
    network = scrambled(Made(num_dimensions, width=width, num_layers=num_layers))
    expected = np.tril(np.ones((num_dimensions, num_dimensions), bool), -1)
    np.testing.assert_array_equal(seen(network, noise_tensor(1, num_dimensions)), expected)


def test_the_first_output_is_zero() -> None:
    output = Made(4, num_parameters=3, width=8)(noise_tensor(2, 4))
    assert output.shape == (2, 4, 3)
    np.testing.assert_array_equal(output, 0.0)


@pytest.mark.parametrize("conditioning", ["additive", "film"])
def test_a_condition_reaches_every_output_of_its_own_example(conditioning: str, scrambled: Make) -> None:
    network = scrambled(Made(4, width=8, condition_width=3, conditioning=conditioning))
    x, condition = noise_tensor(2, 4), noise_tensor(2, 3, seed=1).numpy()
    before = network(x, tf.constant(condition))
    condition[1] += 1.0
    after = network(x, tf.constant(condition))
    np.testing.assert_array_equal(after[0], before[0])
    assert np.abs(after[1] - before[1]).min() > 1e-6


def test_its_settings_make_it_again(scrambled: Make) -> None:
    network = scrambled(Made(4, width=8, condition_width=3))
    copy = Made.from_config(network.get_config())
    copy.set_weights(network.get_weights())
    np.testing.assert_array_equal(
        copy(noise_tensor(2, 4), noise_tensor(2, 3)), network(noise_tensor(2, 4), noise_tensor(2, 3))
    )


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="width must be at least the 9 dimensions, one unit a degree, got 8"):
        Made(9, width=8)
    with pytest.raises(ValueError, match="num_layers must be at least 1, got 0"):
        Made(4, num_layers=0)
