"""Waveform refinement: silent at first, it sees as far as its dilations in blocks, and its settings make it again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfsep.networks.refinement import WaveRefinement

Make = Callable[..., Any]
SMALL = {"block": 4, "width": 8, "num_layers": 2}


def waves() -> tf.Tensor:
    return tf.constant(np.random.default_rng(0).normal(size=(2, 3, 64)), tf.float32)


def test_a_new_correction_is_silent() -> None:
    correction = WaveRefinement(2, **SMALL)(waves())
    assert correction.shape == (2, 2, 64)
    np.testing.assert_array_equal(correction, np.zeros((2, 2, 64)))


def test_it_sees_whole_blocks_around_its_own(scrambled: Make) -> None:
    network, x = scrambled(WaveRefinement(2, **SMALL)), waves()
    with tf.GradientTape() as tape:
        tape.watch(x)
        output = network(x)[0, 1, 33]
    seen = np.flatnonzero(np.abs(tape.gradient(output, x)[0]).sum(0))
    # Dilations of 1 and 2 blocks reach three blocks to either side of samples 32 to 35.
    assert (seen.min(), seen.max()) == (20, 47)


def test_its_settings_make_it_again(scrambled: Make) -> None:
    layer = scrambled(WaveRefinement(2, **SMALL))
    copy = WaveRefinement.from_config(layer.get_config())
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(copy(waves()), layer(waves()))
