"""What is remembered is returned, what is looked up is blended by likeness, and the start is silent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.signals import noise_tensor
from tfsep.networks.retrieval import Retrieval

Make = Callable[..., Any]


def test_the_first_output_is_zero() -> None:
    network = Retrieval(16, num_atoms=4, width=8, condition_width=3)
    np.testing.assert_array_equal(network(noise_tensor(3, 16, 1), noise_tensor(3, 3)), np.zeros((3, 16, 1)))


def test_atoms_are_blended_by_weights_that_sum_to_one(scrambled: Make) -> None:
    network = scrambled(Retrieval(16, num_atoms=5, width=8))
    features = noise_tensor(3, 17)
    weights = network.weights_of(features).numpy()
    assert weights.shape == (3, 5)
    np.testing.assert_allclose(weights.sum(-1), 1.0, rtol=1e-5)
    network.log_temperature.assign(9.0)
    query = network.query(features).numpy()
    keys = network.keys.numpy()
    likeness = (query @ keys.T) / np.linalg.norm(keys, axis=-1)
    np.testing.assert_allclose(network.weights_of(features), np.eye(5)[likeness.argmax(-1)], atol=1e-3)


def test_a_gain_of_one_returns_the_remembered_spectrum_with_the_phase_of_the_input() -> None:
    """One atom, first gain 1 and second 0; a response longer than the frame is cut off."""
    network, x = Retrieval(8, num_atoms=1, width=4), noise_tensor(2, 8, 1)
    network.gains.bias.assign(np.repeat([1.0, 0.0], 9))
    spectrum = np.fft.rfft(x[..., 0], 16)
    value = np.sqrt(8.0) * np.exp(network.log_values.numpy())
    expected = np.fft.irfft(value * spectrum / np.abs(spectrum), 16)[:, :8]
    np.testing.assert_allclose(network(x)[..., 0], expected, atol=1e-5)


def test_equal_gains_of_one_return_the_input() -> None:
    """V + (|X| - V) = |X|."""
    network, x = Retrieval(8, num_atoms=3, width=4), noise_tensor(2, 8, 1)
    network.gains.bias.assign(np.ones(18))
    np.testing.assert_allclose(network(x), x, atol=1e-5)


def test_its_settings_make_it_again(scrambled: Make) -> None:
    network = scrambled(Retrieval(16, num_atoms=4, width=8, condition_width=3))
    copy = Retrieval.from_config(network.get_config())
    copy.set_weights(network.get_weights())
    x, condition = noise_tensor(2, 16, 1), noise_tensor(2, 3)
    np.testing.assert_array_equal(copy(x, condition), network(x, condition))
    assert np.abs(network(x, condition) - network(x, condition + 1.0)).max() > 1e-4


def test_silence_has_finite_gradients(scrambled: Make) -> None:
    network, x = scrambled(Retrieval(16, num_atoms=4, width=8)), tf.zeros((1, 16, 1))
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(network(x))
    gradients = tape.gradient(total, [x, *(variable.value for variable in network.trainable_variables)])
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_more_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="one output channel, got 2"):
        Retrieval(16, 2)
