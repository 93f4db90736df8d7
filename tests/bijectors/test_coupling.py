"""Couplings, affine and additive, under every mask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep.bijectors import Coupling
from tfsep.bijectors.masks import KINDS, Mask

Make = Callable[..., Any]


def coupling(mask: Mask, shape: tuple[int, ...], make_conditioner: Make, **settings: Any) -> Coupling:
    channels = mask.part_shape(shape)[-1]
    out = channels if settings.get("additive") else 2 * channels
    return Coupling(make_conditioner(channels, out), mask, len(shape), tf.float64, **settings)


@pytest.mark.parametrize("additive", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("swap", "shape"), [(True, (4, 2)), (False, (2, 4, 2))])
def test_is_a_bijection(
    additive: bool, kind: str, swap: bool, shape: tuple[int, ...], assert_bijective: Make, make_conditioner: Make
) -> None:
    assert_bijective(coupling(Mask(kind, swap), shape, make_conditioner, additive=additive), shape)


def test_keeps_one_part_and_changes_all_of_the_other(make_conditioner: Make, make_events: Make) -> None:
    mask = Mask("checkerboard")
    x = make_events((8, 2))
    y = coupling(mask, (8, 2), make_conditioner).forward_and_log_det(x)[0]
    np.testing.assert_array_equal(mask.split(y)[0], mask.split(x)[0])
    assert np.all(mask.split(y)[1] != mask.split(x)[1])


def test_additive_preserves_volume(make_conditioner: Make, make_events: Make) -> None:
    step = coupling(Mask("channel"), (8, 4), make_conditioner, additive=True)
    np.testing.assert_array_equal(step.forward_and_log_det(make_events((8, 4)))[1], 0.0)


@pytest.mark.parametrize("bound", [0.1, 3.0])
def test_the_log_scale_is_softly_clamped(bound: float, make_conditioner: Make, make_events: Make) -> None:
    wild = make_conditioner(1, 2)
    step = Coupling(lambda kept: 1e6 * wild(kept), Mask("channel"), 2, tf.float64, bound=bound)
    log_det = step.forward_and_log_det(make_events((8, 2)))[1]
    assert np.all(np.abs(log_det) <= 8 * bound)


def test_the_clamp_can_be_off(make_events: Make) -> None:
    large = tf.constant([0.0, 40.0], tf.float64)
    step = Coupling(lambda kept: tf.ones_like(kept) * large, Mask("channel"), 2, tf.float64, bound=None)
    np.testing.assert_allclose(step.forward_and_log_det(make_events((8, 2)))[1], 8 * 40.0)


def test_a_small_log_scale_passes_the_clamp_unchanged(make_events: Make) -> None:
    small = tf.constant([0.5, 1e-4], tf.float64)
    step = Coupling(lambda kept: tf.ones_like(kept) * small, Mask("channel"), 2, tf.float64)
    np.testing.assert_allclose(step.forward_and_log_det(make_events((8, 2)))[1], 8 * 1e-4, rtol=1e-8)


def test_bad_settings_are_refused(make_conditioner: Make, make_events: Make) -> None:
    with pytest.raises(ValueError, match="bound of a log-scale must be positive, got 0.0"):
        coupling(Mask("channel"), (8, 4), make_conditioner, bound=0.0)


@pytest.mark.parametrize(("additive", "out_channels"), [(False, 2), (True, 1), (False, 3)])
def test_too_few_parameters_are_refused_rather_than_broadcast(
    additive: bool, out_channels: int, make_conditioner: Make, make_events: Make
) -> None:
    step = Coupling(make_conditioner(2, out_channels), Mask("channel"), 2, tf.float64, additive=additive)
    with pytest.raises(ValueError, match="a conditioner must give"):
        step.forward_and_log_det(make_events((8, 4)))
    with pytest.raises(ValueError, match="a conditioner must give"):
        step.inverse_and_log_det(make_events((8, 4)))
