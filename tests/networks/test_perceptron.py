"""Residual blocks: their formula, their condition, and the order of their weights, on which stored models rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.signals import noise_tensor
from tfsep.networks.perceptron import ResidualBlocks

Make = Callable[..., Any]


def layer_norm(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> np.ndarray:
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt(np.mean(centred**2, -1, keepdims=True) + 1e-3) * gamma + beta


@pytest.mark.parametrize("shape", [(3, 4), (3, 5, 4)])
def test_a_block_is_its_formula(shape: tuple[int, ...], scrambled: Make) -> None:
    blocks, hidden, condition = scrambled(ResidualBlocks(4, 1, 2)), noise_tensor(*shape), noise_tensor(3, 2, seed=1)
    gamma, beta, wide, wide_bias, narrow, narrow_bias, film = blocks.get_weights()
    inner = layer_norm(hidden.numpy(), gamma, beta) @ wide + wide_bias
    column = (3, *(1,) * (len(shape) - 2), 8)
    shift, scale = (np.reshape(part, column) for part in np.split(condition @ film, 2, axis=-1))
    for given, modulated in ((None, inner), (condition, inner * (1.0 + scale) + shift)):
        expected = hidden + (modulated / (1.0 + np.exp(-modulated))) @ narrow + narrow_bias
        np.testing.assert_allclose(blocks(hidden, given), expected, rtol=1e-4, atol=1e-4)


def test_weights_lie_kind_by_kind() -> None:
    shapes = [tuple(weight.shape) for weight in ResidualBlocks(4, 2, 3, "affine").weights]
    assert shapes == [(4,)] * 4 + [(4, 8), (8,)] * 2 + [(8, 4), (4,)] * 2 + [(3, 16), (16,)] * 2


@pytest.mark.parametrize("conditioning", ["additive", "film", "affine"])
def test_a_copy_from_the_settings_gives_the_same(conditioning: str, scrambled: Make) -> None:
    blocks = scrambled(ResidualBlocks(4, 2, 3, conditioning))
    copy = ResidualBlocks.from_config(blocks.get_config())
    copy.set_weights(blocks.get_weights())
    hidden, condition = noise_tensor(2, 4), noise_tensor(2, 3)
    np.testing.assert_array_equal(copy(hidden, condition), blocks(hidden, condition))
    assert np.abs(blocks(hidden, condition + 1.0) - blocks(hidden, condition)).max() > 1e-3
    assert not ResidualBlocks(4, 2).films
