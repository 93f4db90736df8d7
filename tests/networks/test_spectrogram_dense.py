"""The dense network over spectrograms: its reach, its start, its condition, its settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.signals import noise_tensor
from tfsep.networks.spectrogram_dense import SpectrogramDense

Make = Callable[..., Any]


@pytest.mark.parametrize("condition_width", [0, 3])
def test_the_first_output_is_zero(condition_width: int) -> None:
    network = SpectrogramDense((3, 4), 1, 2, width=8, condition_width=condition_width)
    output = network(noise_tensor(5, 3, 4, 1), noise_tensor(5, condition_width) if condition_width else None)
    assert output.shape == (5, 3, 4, 2)
    np.testing.assert_array_equal(output, 0.0)


def test_every_output_depends_on_every_input(scrambled: Make) -> None:
    network = scrambled(SpectrogramDense((2, 3), 1, 2, width=8, num_blocks=1))
    x = noise_tensor(1, 2, 3, 1)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        output = network(x)
    reach = np.abs(tape.jacobian(output, x, experimental_use_pfor=False)).reshape(12, 6)
    assert (reach > 0.0).all()


def test_the_condition_is_used(scrambled: Make) -> None:
    network, x = scrambled(SpectrogramDense((2, 3), 1, 2, width=8, condition_width=3)), noise_tensor(4, 2, 3, 1)
    one, other = network(x, noise_tensor(4, 3)), network(x, noise_tensor(4, 3, seed=1))
    assert np.abs(one - other).max() > 1e-3


def test_it_is_made_again_from_its_settings(scrambled: Make) -> None:
    network = scrambled(SpectrogramDense((2, 3), 1, 2, width=8, num_blocks=3, condition_width=3))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(network))
    again.set_weights(network.get_weights())
    np.testing.assert_array_equal(
        again(noise_tensor(4, 2, 3, 1), noise_tensor(4, 3)), network(noise_tensor(4, 2, 3, 1), noise_tensor(4, 3))
    )
