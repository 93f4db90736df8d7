"""The same numbers however they are computed: compiled, on two devices, over and over again."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.contract.conftest import ROUNDING
from tfsep.bijectors import Step

Events = Callable[..., np.ndarray]


def test_xla_gives_the_same_numbers(compiled_case: Any, noise_events: Events, answers: Any) -> None:
    prior = compiled_case.scrambled()

    def both(x: tf.Tensor, sigma: tf.Tensor) -> list[tf.Tensor]:
        return [method(x, sigma) for method in answers(prior)[:2]]

    x, sigma = tf.constant(noise_events(prior, 8), tf.float32), tf.constant(0.3)
    compiled = tf.function(both, jit_compile=True, autograph=False)(x, sigma)
    for found, expected in zip(compiled, both(x, sigma), strict=True):
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found / scale, expected / scale, atol=1e-4 * ROUNDING.get(compiled_case.name, 1.0))


def loss_of(model: Any, batch: tf.Tensor) -> tf.Tensor:
    """What is trained: the log-likelihood or, without a density, the error of the denoiser."""
    if model.has_log_prob:
        return -tf.reduce_mean(model.nats_per_dim(batch, 0.3))
    noise = tf.sin(37.0 * batch)
    return tf.reduce_mean((model.denoise(batch + 0.3 * noise, 0.3) - batch) ** 2)


def check_two_devices(case: Any, model: Any, x: tf.Tensor, two_cpus: list[str]) -> None:
    """Each replica sees half of the batch; the mean of their gradients is the gradient of the whole."""

    def gradients(model: Any, batch: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            loss = loss_of(model, batch)
        return tape.gradient(loss, [variable.value for variable in model.trainable_variables])

    strategy = tf.distribute.MirroredStrategy(two_cpus, cross_device_ops=tf.distribute.ReductionToOneDevice())
    with strategy.scope():
        replicated = case.build()
    replicated.set_weights(model.get_weights())

    def on_a_replica() -> list[tf.Tensor]:
        context = tf.distribute.get_replica_context()
        place = context.replica_id_in_sync_group
        return context.all_reduce("MEAN", gradients(replicated, x[4 * place : 4 * place + 4]))

    found = strategy.run(on_a_replica)
    for mean, expected in zip(found, gradients(model, x), strict=True):
        local = strategy.experimental_local_results(mean)
        assert len(local) == 2
        for one in local:
            np.testing.assert_allclose(one, expected, rtol=1e-4, atol=1e-5)


def test_two_devices_give_the_gradients_of_one(
    flow_case: Any, flow: Any, noise_events: Events, two_cpus: list[str]
) -> None:
    check_two_devices(flow_case, flow, tf.constant(noise_events(flow, 8), tf.float32), two_cpus)


@pytest.mark.parametrize("name", ["score_log_stft", "score_wave"])
def test_two_devices_give_a_denoisers_gradients(
    name: str, case_named: Callable[[str], Any], noise_events: Events, two_cpus: list[str]
) -> None:
    case = case_named(name)
    denoiser = case.scrambled()
    check_two_devices(case, denoiser, tf.constant(noise_events(denoiser, 8), tf.float32), two_cpus)


def test_two_devices_give_the_scores_of_one(prior: Any, noise_events: Events, two_cpus: list[str]) -> None:
    x = tf.constant(noise_events(prior, 4), tf.float32)
    scores = []
    for name in two_cpus:
        with tf.device(name):
            scores.append(prior.score(x, 0.3).numpy())
    np.testing.assert_array_equal(scores[0], scores[1])


def test_calls_leave_no_bijector_behind(
    some_flow_case: Any, noise_events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TFP keeps what it has computed in caches; none may outlive the call that filled it."""
    made: list[weakref.ref[Step]] = []
    initialise = Step.__init__

    def recorded(step: Step, *args: Any, **settings: Any) -> None:
        made.append(weakref.ref(step))
        initialise(step, *args, **settings)

    monkeypatch.setattr(Step, "__init__", recorded)
    flow = some_flow_case.build()
    x = noise_events(flow, 2)

    def alive() -> int:
        gc.collect()
        return sum(step() is not None for step in made)

    def call() -> None:
        flow.score(x, 0.3)
        flow.distribution(tf.constant([0.3, 0.3])).log_prob(x.astype(np.float32))

    call()
    before, first = alive(), len(made)
    call()
    assert len(made) > first > 0 and alive() <= before
