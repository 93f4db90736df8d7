"""The three modes in which a condition modulates features, in the layer and in the networks that use it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.signals import noise_tensor
from tfsep.networks.gated_conv import GatedConv
from tfsep.networks.modulation import Modulation
from tfsep.networks.wavenet import WaveNet

Make = Callable[..., Any]


@pytest.mark.parametrize("shape", [(4,), (5, 4), (2, 5, 4)])
def test_each_kind_is_its_formula(shape: tuple[int, ...], scrambled: Make) -> None:
    x, condition = noise_tensor(3, *shape), noise_tensor(3, 2, seed=1)
    column = (3, *(1,) * (len(shape) - 1), 4)
    layer = scrambled(Modulation(2, 4))
    moved = np.reshape(condition @ layer.get_weights()[0], column)
    np.testing.assert_allclose(layer(x, condition), x + moved, atol=1e-5)
    layer = scrambled(Modulation(2, 4, "film"))
    shift, scale = (np.reshape(part, column) for part in np.split(condition @ layer.get_weights()[0], 2, axis=-1))
    np.testing.assert_allclose(layer(x, condition), x * (1.0 + scale) + shift, atol=1e-5)
    layer = scrambled(Modulation(2, 4, "affine"))
    kernel, bias = layer.get_weights()
    scale, shift = (np.reshape(part, column) for part in np.split(condition @ kernel + bias, 2, axis=-1))
    np.testing.assert_allclose(layer(x, condition), x * (1.0 + scale) + shift, atol=1e-5)


@pytest.mark.parametrize(("network", "shape"), [(WaveNet, (12, 1)), (GatedConv, (4, 6, 1))])
def test_networks_take_either_and_remember_which(network: Any, shape: tuple[int, ...], scrambled: Make) -> None:
    x, condition = noise_tensor(2, *shape), noise_tensor(2, 3)
    outputs = []
    for conditioning, columns in (("additive", 16), ("film", 32)):
        layer = scrambled(network(1, 2, width=8, num_layers=1, condition_width=3, conditioning=conditioning))
        assert {each.dense.kernel.shape for each in layer.conditions} == {(3, columns)}
        copy = network.from_config(layer.get_config())
        copy.set_weights(layer.get_weights())
        outputs.append(layer(x, condition))
        np.testing.assert_array_equal(copy(x, condition), outputs[-1])
        assert np.abs(layer(x, condition + 1.0) - outputs[-1]).max() > 1e-3
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-3


def test_another_conditioning_is_refused() -> None:
    with pytest.raises(ValueError, match="conditioning must be one of additive, film, affine, got 'gated'"):
        WaveNet(1, 2, condition_width=3, conditioning="gated")
