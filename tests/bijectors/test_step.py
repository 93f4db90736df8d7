"""Compositions of steps, beside the chains of TFP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfsep.bijectors import ActNorm, Composition, Coupling, InvertibleConv, Multiscale, NoiseScale, Squeeze
from tfsep.bijectors.invertible_conv import random_rotation
from tfsep.bijectors.masks import Mask

Make = Callable[..., Any]
DTYPE = tf.float64


@pytest.fixture(scope="module")
def flow(make_conditioner: Make) -> Composition:
    """Every kind of step in a row: (8, 1) data, (2, 4) inside, (8, 1) latents; three examples."""
    rotation = {name: tf.constant(value) for name, value in random_rotation(4, 0).items()}
    inner = Composition([Coupling(make_conditioner(1, 2, 1), Mask("channel", swap=True), 2, DTYPE)], 2, DTYPE)
    steps = [
        NoiseScale(tf.constant(0.7, DTYPE), tf.constant([0.1, 1.0, 3.0], DTYPE), 2, DTYPE),
        Squeeze((4,), DTYPE),
        ActNorm(tf.linspace(tf.constant(-1.0, DTYPE), 1.0, 4), tf.linspace(tf.constant(-0.5, DTYPE), 0.4, 4), 2, DTYPE),
        InvertibleConv(**rotation, event_ndims=2, dtype=DTYPE),
        Coupling(make_conditioner(2, 4, 2), Mask("channel"), 2, DTYPE),
        Multiscale(inner, make_conditioner(2, 4, 3), 2, DTYPE),
        Squeeze((4,), DTYPE, reverse=True),
    ]
    return Composition(steps, 2, DTYPE)


def test_a_composition_is_a_bijection(flow: Composition, assert_bijective: Make) -> None:
    assert_bijective(flow, (8, 1))


def test_a_composition_reports_a_change_of_the_shape(flow: Composition, assert_bijective: Make) -> None:
    assert_bijective(Composition(flow.steps[:-1], 2, DTYPE), (2, 4), (8, 1))


def test_is_the_chain_of_tfp(flow: Composition, make_events: Make) -> None:
    chain, x = flow.as_chain(), make_events((8, 1))
    assert chain.bijectors == list(flow.steps)
    y, log_det = flow.forward_and_log_det(x)
    np.testing.assert_allclose(chain.forward(x), y, atol=1e-12)
    np.testing.assert_allclose(chain.inverse(tf.identity(y)), x, atol=1e-10)
    np.testing.assert_allclose(chain.forward_log_det_jacobian(tf.identity(x), 2), log_det, atol=1e-12)
    np.testing.assert_allclose(chain.inverse_log_det_jacobian(tf.identity(y), 2), -log_det, atol=1e-10)


def test_a_transformed_distribution_has_its_event(flow: Composition) -> None:
    """The shape of latents differs from that of events, in the static and in the dynamic view."""
    base = tfd.Independent(tfd.Normal(tf.zeros((3, 2, 4), DTYPE), 1.0), 2)
    distribution = tfd.TransformedDistribution(base, Composition(flow.steps[:-1], 2, DTYPE).as_chain())
    assert tuple(distribution.event_shape) == tuple(distribution.event_shape_tensor().numpy()) == (8, 1)
    assert tuple(distribution.batch_shape) == (3,)
    assert distribution.sample(seed=(1, 2)).shape == (3, 8, 1)


def test_no_steps_are_the_identity(assert_bijective: Make, make_events: Make) -> None:
    nothing = Composition([], 2, DTYPE)
    assert_bijective(nothing, (4, 2))
    x = make_events((4, 2))
    np.testing.assert_array_equal(nothing.as_chain().forward(x), x)


def test_further_batch_axes_are_refused(flow: Composition) -> None:
    """One factor per example would otherwise be spread over the wrong axis."""
    for call in (flow.steps[0].forward, flow.inverse, flow.as_chain().forward):
        with pytest.raises(ValueError, match="maps one batch axis and 2 event axes"):
            call(tf.zeros((3, 3, 8, 1), DTYPE))
