"""What sigma means, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep.errors import InputError

Events = Callable[..., np.ndarray]


def test_no_sigma_is_the_smallest(prior64: Any, noise_events: Events, answers: Any) -> None:
    x = noise_events(prior64, 3)
    smallest = prior64.smallest_sigma
    assert smallest == 0.01
    for method in answers(prior64):
        np.testing.assert_array_equal(method(x, None), method(x, smallest))
    np.testing.assert_array_equal(prior64.sample(2, (0, 1)), prior64.sample(2, (0, 1), smallest))


def test_every_example_has_its_own_sigma(prior64: Any, noise_events: Events, answers: Any) -> None:
    x, sigmas = noise_events(prior64, 2), [0.05, 4.0]
    for method in answers(prior64):
        each = tf.concat([method(x[i : i + 1], sigma) for i, sigma in enumerate(sigmas)], 0)
        np.testing.assert_allclose(method(x, np.array(sigmas)), each, rtol=1e-8, atol=1e-10)


def test_sigma_may_be_a_tensor_of_a_graph(prior: Any, noise_events: Events, answers: Any) -> None:
    x = tf.constant(noise_events(prior, 3), tf.float32)
    method = answers(prior)[0]
    compiled = tf.function(method)
    for sigma in (0.05, 2.0):
        np.testing.assert_allclose(compiled(x, tf.constant(sigma)), method(x, sigma), rtol=1e-4)
    assert compiled.experimental_get_tracing_count() == 1


def test_sigma_makes_a_difference(prior64: Any, noise_events: Events, answers: Any) -> None:
    x, method = noise_events(prior64, 3), answers(prior64)[0]
    assert np.all(np.abs(method(x, 0.1) - method(x, 3.0)).reshape(3, -1).max(1) > 0.1)


@pytest.mark.parametrize("sigma", [0.0, -0.1, float("nan"), [0.1, 0.0, 0.1]])
def test_a_sigma_that_is_not_positive_is_refused(prior: Any, noise_events: Events, answers: Any, sigma: Any) -> None:
    x = noise_events(prior, 3)
    for method in answers(prior):
        with pytest.raises(ValueError, match="sigma must be positive"):
            method(x, sigma)


def test_a_clean_flow_refuses_sigma(clean_case: Any, noise_events: Events) -> None:
    flow = clean_case.build(sigma_range=None)
    x = noise_events(flow, 3)
    assert flow.log_prob(x).shape == (3,) and flow.sample(2, (0, 1)).shape == (2, *flow.event_shape)
    for method in (flow.log_prob, flow.score, flow.denoise, flow.encode, flow.decode):
        with pytest.raises(ValueError, match="is a clean prior: sigma must be None, got 0.1"):
            method(x, 0.1)


@pytest.mark.parametrize("sigma_range", [(1.0, 0.1), (0.0, 1.0), (-1.0, 1.0), (0.1, float("inf"))])
def test_a_bad_range_of_sigma_is_refused(flow_case: Any, sigma_range: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="sigma_range must be two positive numbers in ascending order"):
        flow_case.build(sigma_range=sigma_range)


def test_events_of_another_shape_are_refused(prior: Any, answers: Any) -> None:
    longer = (2, prior.event_shape[0] + 1, *prior.event_shape[1:])
    for shape in (longer, (2, *prior.event_shape[:-1]), (2, *prior.event_shape[:-1], 2)):
        for method in answers(prior):
            with pytest.raises(ValueError, match="have shape"):
                method(np.zeros(shape, np.float32), 0.1)
