"""Silence, constants, loud and far events, and samples: always finite numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

LENGTHS = {"wave": 16, "log_stft": 24, "log_mel": 24}
WAVES = {
    "silence": lambda length: np.zeros((2, length), np.float32),
    "constant": lambda length: np.full((2, length), 0.7, np.float32),
    "full scale": lambda length: np.tile(np.float32([1.0, -1.0]), (2, length // 2)),
    "click": lambda length: np.eye(2, length, dtype=np.float32),
    "hundredfold": lambda length: 100.0 * np.sin(np.arange(2 * length, dtype=np.float32)).reshape(2, length),
}


def test_odd_waves_have_finite_densities_and_scores(prior: Any, answers: Any) -> None:
    """At the quietest, a middle and the loudest noise."""
    waves = np.concatenate([np.tile(make(LENGTHS[prior.domain]), (3, 1)) for make in WAVES.values()])
    sigma = np.tile(np.repeat([prior.smallest_sigma, 0.3, 8.0], 2), len(WAVES))
    events = prior.analyse(tf.constant(waves))
    assert tuple(events.shape[1:]) == prior.event_shape
    for method in answers(prior):
        finite = np.isfinite(method(events, sigma)).reshape(len(WAVES), -1).all(1)
        assert dict(zip(WAVES, finite, strict=True)) == dict.fromkeys(WAVES, True)


@pytest.mark.parametrize("sigma", [None, 8.0])
def test_samples_are_finite_and_belong_to_their_seed(prior: Any, answers: Any, sigma: float | None) -> None:
    first, again, other = (prior.sample(16, seed, sigma).numpy() for seed in ((1, 2), (1, 2), (1, 3)))
    assert first.shape == (16, *prior.event_shape) and np.isfinite(first).all()
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3
    assert np.isfinite(answers(prior)[0](first, sigma)).all()


@pytest.mark.parametrize("wave", ["silence", "constant"])
def test_a_flow_initialised_on_a_constant_stays_finite(flow_case: Any, wave: str) -> None:
    flow = flow_case.build()
    events = flow.analyse(tf.constant(WAVES[wave](LENGTHS[flow.domain])))
    flow.initialise(events, 0.01)
    assert all(np.isfinite(weight).all() for weight in flow.get_weights())
    assert np.isfinite(flow.log_prob(events)).all() and np.isfinite(flow.score(events)).all()
