"""The network that predicts bins: its start, what it sees, its neighbours, its settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.signals import noise_tensor
from tfsep.networks.spectral_predictor import SpectralPredictor, neighbours

Make = Callable[..., Any]
SMALL: dict[str, Any] = {"num_neighbours": 3, "width": 8, "num_blocks": 1, "context": 2, "local_width": 4}
SIGMA = np.array([0.1, 0.5, 2.0], np.float32)


def small(num_bins: int = 6) -> SpectralPredictor:
    return SpectralPredictor(num_bins, **SMALL, condition_width=3)


def test_the_first_output_is_zero() -> None:
    weights, log_ratio = small()(noise_tensor(3, 6, 2), SIGMA, noise_tensor(3, 3))
    assert weights.shape == (3, 6, 3) and log_ratio.shape == (3, 6)
    np.testing.assert_array_equal(weights, 0.0)
    np.testing.assert_array_equal(log_ratio, 0.0)


def test_it_sees_no_phase_but_that_of_sums_of_neighbours(scrambled: Make) -> None:
    """Turning all bins by one angle changes nothing; turning one of them does, through the sharpened features."""
    network, bins, condition = scrambled(small()), noise_tensor(3, 6, 2), noise_tensor(3, 3)
    turn = tf.constant([[np.cos(0.8), np.sin(0.8)], [-np.sin(0.8), np.cos(0.8)]], tf.float32)
    for one, other in zip(
        network(bins, tf.constant(SIGMA), condition), network(bins @ turn, tf.constant(SIGMA), condition), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def test_bins_and_noise_twice_as_loud_are_the_same(scrambled: Make) -> None:
    network, bins, condition = scrambled(small()), noise_tensor(3, 6, 2), noise_tensor(3, 3)
    one, other = (
        network(bins, tf.constant(SIGMA), condition)[0],
        network(2.0 * bins, tf.constant(2.0 * SIGMA), condition)[0],
    )
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_every_output_depends_on_every_bin_and_the_condition(scrambled: Make) -> None:
    network, bins, condition = scrambled(small()), noise_tensor(1, 6, 2), noise_tensor(1, 3)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([bins, condition])
        log_ratio = network(bins, tf.constant(SIGMA[:1]), condition)[1]
    assert (np.abs(tape.jacobian(log_ratio, bins, experimental_use_pfor=False)).reshape(6, 12) > 0.0).all()
    assert (np.abs(tape.jacobian(log_ratio, condition, experimental_use_pfor=False)).reshape(6, 3) > 0.0).all()


def test_neighbours_are_zero_beyond_the_ends() -> None:
    bins = tf.reshape(tf.range(1.0, 5.0), [1, 4, 1])
    wanted = [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 0]]
    np.testing.assert_array_equal(neighbours(bins, 3, -1)[0, ..., 0], wanted)
    np.testing.assert_array_equal(neighbours(bins, 2, 0)[0, ..., 0], [[1, 2], [2, 3], [3, 4], [4, 0]])
    np.testing.assert_array_equal(neighbours(bins, 2, -2)[0, ..., 0], [[0, 0], [0, 1], [1, 2], [2, 3]])


def test_it_is_made_again_from_its_settings(scrambled: Make) -> None:
    network, bins, condition = scrambled(small()), noise_tensor(3, 6, 2), noise_tensor(3, 3)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(network))
    again.set_weights(network.get_weights())
    np.testing.assert_array_equal(
        again(bins, tf.constant(SIGMA), condition)[0], network(bins, tf.constant(SIGMA), condition)[0]
    )


@pytest.mark.parametrize("name", ["num_neighbours", "context", "local_width"])
def test_a_size_of_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} of a spectral predictor must be at least 1, got 0"):
        SpectralPredictor(6, **{**SMALL, name: 0})
