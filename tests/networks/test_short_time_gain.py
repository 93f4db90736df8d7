"""A filter over time: silent at first, real gains, a reach, a condition, and settings that make it again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.signals import noise_tensor
from tfsep.networks.short_time_gain import ShortTimeGain

Make = Callable[..., Any]
TINY = {"frame_length": 16, "frame_step": 4, "width": 8, "num_blocks": 2, "condition_width": 3}


def test_the_first_output_is_zero() -> None:
    np.testing.assert_array_equal(
        ShortTimeGain(64, **TINY)(noise_tensor(2, 64, 1), noise_tensor(2, 3)), np.zeros((2, 64, 1))
    )


def test_equal_gains_are_a_factor() -> None:
    network, x = ShortTimeGain(64, **TINY), noise_tensor(2, 64, 1)
    network.gains.last.bias.assign(np.full(10, 0.7))
    np.testing.assert_allclose(network(x, noise_tensor(2, 3)), 0.7 * x, atol=1e-5)


def test_gains_change_over_time_and_follow_the_condition(scrambled: Make) -> None:
    network, x = scrambled(ShortTimeGain(64, **TINY), spread=0.3), noise_tensor(2, 64, 1)
    condition = noise_tensor(2, 3, seed=1).numpy()
    first = network(x, condition).numpy()
    assert np.std(first / x) > 0.01
    condition[1] += 1.0
    second = network(x, condition).numpy()
    np.testing.assert_array_equal(first[0], second[0])
    assert np.abs(first[1] - second[1]).max() > 1e-3


def test_what_cannot_be_built_is_refused() -> None:
    with pytest.raises(ValueError, match="one channel out, got 2"):
        ShortTimeGain(64, 2, **TINY)


def test_its_settings_make_it_again(scrambled: Make) -> None:
    layer = scrambled(ShortTimeGain(64, **TINY))
    copy = ShortTimeGain.from_config(layer.get_config())
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(
        copy(noise_tensor(2, 64, 1), noise_tensor(2, 3)), layer(noise_tensor(2, 64, 1), noise_tensor(2, 3))
    )
