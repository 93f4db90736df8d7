"""Recomputation changes memory and time only: every flow gives the same density and the same gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep.runtime import trace_context

Events = Callable[..., np.ndarray]
MODES = ("step", "inverse", "scan")


def gradients(prior: Any, x: tf.Tensor, sigma: tf.Tensor) -> list[tf.Tensor]:
    """The log-density, and the gradients of its sum, weighted unequally, in the events and in every weight."""
    owned = [variable.value for variable in prior.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch(x)
        density = prior.log_prob(x, sigma)
        total = tf.reduce_sum(density * tf.range(1.0, 1.0 + x.shape[0], dtype=x.dtype)[: x.shape[0]])
    return [density, *tape.gradient(total, [x, *owned])]


def compare(found: list[tf.Tensor], expected: list[tf.Tensor], tolerance: float) -> None:
    """Each tensor by the largest entry that it should have."""
    assert len(found) == len(expected) > 2
    for one, other in zip(found, expected, strict=True):
        scale = np.abs(other).max() + 1e-12
        np.testing.assert_allclose(one / scale, other / scale, atol=tolerance)


@pytest.mark.parametrize("mode", MODES)
def test_gradients_are_equal(flow_case: Any, noise_events: Events, mode: str) -> None:
    flow = flow_case.scrambled()
    x, sigma = tf.constant(noise_events(flow, 4), tf.float32), tf.constant([0.1, 0.3, 1.0, 4.0])
    expected = gradients(flow, x, sigma)
    flow.set_recompute(mode)
    with trace_context.entering(trace_context.XLA):
        found = gradients(flow, x, sigma)
    compare(found, expected, 1e-5)


@pytest.mark.parametrize("num_kept", [1, 3, 4, 6, 100])
@pytest.mark.parametrize("mode", MODES)
def test_gradients_are_equal_where_the_last_steps_keep_what_they_need(
    case_named: Any, noise_events: Events, mode: str, num_kept: int
) -> None:
    """The chain ends before, between and behind the splits of its levels."""
    flow = case_named("glow_wave").scrambled()
    x, sigma = tf.constant(noise_events(flow, 4), tf.float32), tf.constant([0.1, 0.3, 1.0, 4.0])
    expected = gradients(flow, x, sigma)
    flow.set_recompute(mode, num_kept)
    with trace_context.entering(trace_context.XLA):
        found = gradients(flow, x, sigma)
    compare(found, expected, 1e-5)


@pytest.mark.parametrize("mode", [*MODES[:2], pytest.param("scan", marks=pytest.mark.slow)])
def test_gradients_are_equal_in_double_precision(flow_case: Any, noise_events: Events, mode: str) -> None:
    flow = flow_case.scrambled(dtype="float64")
    x, sigma = tf.constant(noise_events(flow, 4)), tf.constant([0.1, 0.3, 1.0, 4.0], tf.float64)
    expected = gradients(flow, x, sigma)
    flow.set_recompute(mode)
    with trace_context.entering(trace_context.XLA):
        found = gradients(flow, x, sigma)
    compare(found, expected, 1e-9)


@pytest.mark.parametrize("jit", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["graph", "xla"])
@pytest.mark.parametrize("mode", MODES)
def test_gradients_are_equal_when_compiled(some_flow_case: Any, noise_events: Events, mode: str, jit: bool) -> None:
    flow = some_flow_case.scrambled()
    x, sigma = tf.constant(noise_events(flow, 4), tf.float32), tf.constant([0.1, 0.3, 1.0, 4.0])
    expected = gradients(flow, x, sigma)
    flow.set_recompute(mode)

    def traced_there(x: tf.Tensor, sigma: tf.Tensor) -> list[tf.Tensor]:
        with trace_context.entering(trace_context.XLA if jit else trace_context.GRAPH):
            return gradients(flow, x, sigma)

    traced = tf.function(traced_there, jit_compile=jit, autograph=False)
    # Periods are interpolated linearly: where rounding moves a sample across a point of one, the slope jumps.
    compare(traced(x, sigma), expected, 1e-3 if some_flow_case.name == "spectral_realnvp_with_pitches" else 1e-5)


def test_the_score_is_equal(flow_case: Any, noise_events: Events) -> None:
    flow = flow_case.scrambled()
    x = noise_events(flow, 4)
    expected = flow.score(x, 0.3).numpy()
    flow.set_recompute("inverse")
    np.testing.assert_allclose(flow.score(x, 0.3), expected, atol=1e-5 * np.abs(expected).max())


def test_an_example_that_is_not_finite_leaves_the_others_alone(case_named: Any, noise_events: Events) -> None:
    """Steps wait for each other by a zero; not even an infinity or no number at all may leak through it."""
    flow = case_named("glow_wave").scrambled(recompute="inverse")
    x = noise_events(flow, 3)
    expected = flow.score(x, 0.3).numpy()
    for bad in (np.nan, np.inf):
        x[0] = bad
        np.testing.assert_allclose(flow.score(x, 0.3)[1:], expected[1:], rtol=1e-6)
