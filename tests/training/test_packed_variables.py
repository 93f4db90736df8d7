"""A flow whose steps are a loop reads its weights from the trainer's vectors: it learns as it does otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfsep import priors
from tfsep.training.trainer import Trainer

SMALL: dict[str, Any] = {
    "kind": "flowavenet", "event_shape": (16, 1), "num_levels": 1, "num_steps": 4, "width": 2, "num_layers": 1,
    "condition_width": 4,
}  # fmt: skip
TOLERANCE = 2e-4


def train(
    gaussian: ModuleType, recompute: str, strategy: tf.distribute.Strategy | None, num_steps: int
) -> tuple[Trainer, dict[str, float]]:
    """A trainer after so many steps, compiled by XLA, and the sums that it reports."""

    def build() -> keras.Model:
        keras.utils.set_random_seed(3)
        flow: Any = priors.build(recompute=recompute, sigma_range=(0.1, 1.0), **SMALL)
        for weight in flow.trainable_variables:
            weight.assign_add(0.1 * tf.random.stateless_normal(weight.shape, (1, weight.shape.num_elements())))
        return flow

    def objective(flow: Any, batch: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        events = tf.reshape(tf.tile(batch, [1, 4]), [-1, 16, 1])
        return -tf.reduce_mean(flow.nats_per_dim(events, 0.5)), {}

    task = gaussian.gaussian_task(build=build, objective=objective)
    settings = gaussian.settings(jit_compile=True, learning_rate=1e-3)
    trainer = Trainer(task, settings, 0, strategy or tf.distribute.get_strategy())
    report = trainer.run(trainer.iterator(), num_steps)
    assert report.steps == num_steps
    return trainer, report.sums


def numbers(trainer: Trainer) -> list[np.ndarray]:
    """Weights, and their averages."""
    return [value.numpy() for value in (*trainer.model.variables, *trainer.average.variables)]


@dataclass(frozen=True)
class Looped:
    """A trainer whose flow is a loop, after two steps: what it reported, and the weights it had then."""

    trainer: Trainer
    sums: dict[str, float]
    numbers: list[np.ndarray]


@pytest.fixture(scope="module")
def looped(gaussian: ModuleType) -> Looped:
    trainer, sums = train(gaussian, "scan", None, 2)
    return Looped(trainer, sums, [value.copy() for value in numbers(trainer)])


@pytest.mark.slow
def test_the_weights_of_a_loop_are_read_from_the_vectors(gaussian: ModuleType, looped: Looped) -> None:
    """The weights of the loop are read from the vectors, those of the noise embedding and of the split are not."""
    trainer = looped.trainer
    other, expected = train(gaussian, "inverse", None, 2)
    spec = trainer.iterator().element_spec  # type: ignore[attr-defined]
    traced = trainer._local_gradients.get_concrete_function(spec, tf.TensorSpec([2], tf.int32))
    gradients, of_vectors = traced.structured_outputs[2:]
    read = [path.path for path, each in zip(trainer.model.trainable_variables, gradients, strict=True) if each is None]
    assert len(of_vectors) == 2 and all(each is not None for each in of_vectors)
    assert len(gradients) / 2 < len(read) < len(gradients) and not any("embedding" in path for path in read)
    assert looped.sums == pytest.approx(expected, rel=1e-4)
    for one, two in zip(looped.numbers, numbers(other), strict=True):
        np.testing.assert_allclose(one, two, atol=TOLERANCE)


def test_weights_set_between_two_calls_are_seen(looped: Looped) -> None:
    trainer = looped.trainer
    for weight in trainer.model.trainable_variables:
        weight.assign(tf.zeros(weight.shape))
    found = trainer.run(trainer.iterator(), 1).sums["loss"]
    assert abs(found - looped.sums["loss"] / 2) > 1e-3
    for weight, vector in zip(
        trainer.model.trainable_variables, trainer.packed.split([v.value for v in trainer.packed.vectors]), strict=True
    ):
        np.testing.assert_array_equal(weight.numpy(), vector.numpy())


@pytest.mark.slow
def test_two_devices_train_as_one(gaussian: ModuleType, looped: Looped, mirrored: tf.distribute.Strategy) -> None:
    two, others = train(gaussian, "scan", mirrored, 2)
    assert others == pytest.approx(looped.sums, rel=1e-4)
    for left, right in zip(looped.numbers, numbers(two), strict=True):
        np.testing.assert_allclose(left, right, atol=TOLERANCE)
