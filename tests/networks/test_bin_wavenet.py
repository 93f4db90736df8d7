"""The WaveNet along bins: it reaches along one frame, and every frame is read alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.signals import noise_tensor
from tfsep.networks.bin_wavenet import BinWaveNet
from tfsep.priors.flows.conditioners import NetworkSettings

Make = Callable[..., Any]


@pytest.mark.parametrize("condition_width", [0, 3])
def test_it_starts_at_zero(condition_width: int) -> None:
    network = BinWaveNet(2, 6, width=8, num_layers=1, condition_width=condition_width)
    output = network(noise_tensor(2, 3, 5, 2), noise_tensor(2, 3) if condition_width else None)
    np.testing.assert_array_equal(output, np.zeros((2, 3, 5, 6)))


def test_it_reaches_along_the_bins_of_a_frame(scrambled: Make, reach_of: Make) -> None:
    network = scrambled(BinWaveNet(1, 2, width=8, num_layers=2, dilation_cycle=2))
    expected = np.zeros((3, 13), bool)
    expected[1, 6 - 3 : 6 + 4] = True
    np.testing.assert_array_equal(reach_of(network, noise_tensor(1, 3, 13, 1), (1, 6)) > 0.0, expected)


def test_every_frame_is_read_alike_under_its_own_condition(scrambled: Make) -> None:
    network = scrambled(BinWaveNet(1, 2, width=8, num_layers=2, condition_width=3))
    frame, condition = noise_tensor(2, 1, 7, 1), noise_tensor(2, 3, seed=1)
    whole = network(tf.repeat(frame, 4, axis=1), condition)
    one = network(frame, condition)
    np.testing.assert_allclose(whole, np.repeat(one, 4, axis=1), atol=1e-6)
    assert np.abs(one - network(frame, condition[::-1])).max() > 1e-3


def test_it_is_made_anew_from_its_configuration(scrambled: Make) -> None:
    network = scrambled(BinWaveNet(2, 4, width=8, num_layers=2, dilation_cycle=2))
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(network))
    twin.set_weights(network.get_weights())
    np.testing.assert_array_equal(twin(noise_tensor(2, 3, 5, 2)), network(noise_tensor(2, 3, 5, 2)))


def test_a_network_of_another_rank_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must be one of gated_conv, wavenet, got 'spectral_gain'"):
        NetworkSettings(network="spectral_gain").network_factory((4, 8, 1), 0, "float32")
    with pytest.raises(ValueError, match=r"must be one of wavenet, got 'gated_conv'"):
        NetworkSettings(network="gated_conv").network_factory((8, 1), 0, "float32")
