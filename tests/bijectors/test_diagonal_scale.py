"""A scale for each dimension, the same for all examples or one for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep.bijectors import DiagonalScale

Make = Callable[..., Any]


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("shape", [(3, 2), (2, 2, 2)])
def test_is_a_bijection(shape: tuple[int, ...], batch: int, assert_bijective: Make, make_events: Make) -> None:
    assert_bijective(DiagonalScale(make_events(shape, 3, batch), len(shape), tf.float64), shape)


def test_the_log_determinant_is_the_sum_of_the_log_scales(make_events: Make) -> None:
    log_scale = make_events((4, 1), 3, 1)
    y, log_det = DiagonalScale(log_scale, 2, tf.float64).forward_and_log_det(tf.ones((2, 4, 1), tf.float64))
    np.testing.assert_allclose(y, np.repeat(np.exp(log_scale), 2, axis=0))
    np.testing.assert_allclose(log_det, [np.sum(log_scale)] * 2)
