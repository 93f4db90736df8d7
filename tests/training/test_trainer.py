"""Steps: the same on two devices as on one, in one call as in many; a step that is not finite leaves no trace."""

from __future__ import annotations

import logging
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfsep.errors import InputError
from tfsep.training.trainer import Trainer

NAN = float("nan")


def make(
    gaussian: ModuleType, strategy: Any = None, seed: int = 0, task: dict[str, Any] | None = None, **s: Any
) -> Trainer:
    keras.utils.set_random_seed(1)
    strategy = strategy or tf.distribute.get_strategy()
    return Trainer(gaussian.gaussian_task(**(task or {})), gaussian.settings(**s), seed, strategy)


def weights(trainer: Trainer) -> list[np.ndarray]:
    state = trainer.state()
    return [v.numpy() for key in ("weights", "optimiser", "average") for v in state[key]]  # type: ignore[union-attr]


def test_two_devices_train_as_one(gaussian: ModuleType, mirrored: tf.distribute.Strategy) -> None:
    task = {"objective": gaussian.negative_log_likelihood}
    one = make(gaussian, task=task)
    two = make(gaussian, mirrored, task=task)
    reports = [trainer.run(trainer.iterator(), 20) for trainer in (one, two)]
    assert [report.steps for report in reports] == [20, 20]
    for name, value in reports[0].sums.items():
        assert reports[1].sums[name] == pytest.approx(value, rel=1e-5)
    for left, right in zip(weights(one), weights(two), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-5)


def test_two_devices_draw_different_noise(gaussian: ModuleType, mirrored: tf.distribute.Strategy) -> None:
    def noise_alone(model: Any, batch: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        loss, _ = gaussian.negative_log_likelihood(model, batch, seed)
        draw = tf.random.stateless_uniform((), seed)
        return loss, {"mean": draw, "square": draw**2}

    two = make(gaussian, mirrored, task={"objective": noise_alone})
    sums = two.run(two.iterator(), 1).sums
    assert sums["square"] - sums["mean"] ** 2 > 1e-6


def test_a_batch_that_does_not_split_is_refused(gaussian: ModuleType, mirrored: tf.distribute.Strategy) -> None:
    task = {"dataset": lambda step: gaussian.batches(step).map(lambda batch: batch[:15])}
    with pytest.raises(InputError, match="multiple of the 2 replicas, got 15"):
        make(gaussian, mirrored, task=task).iterator()


def test_one_call_is_many_calls_and_traces_once(gaussian: ModuleType) -> None:
    once, often = make(gaussian), make(gaussian)
    assert once.run(once.iterator(), 12).steps == 12
    batches = often.iterator()
    for size in (1, 1, 5, 2, 3):
        often.run(batches, size)
    for left, right in zip(weights(once), weights(often), strict=True):
        np.testing.assert_array_equal(left, right)
    assert often._run.experimental_get_tracing_count() == 1
    assert often._local_gradients.experimental_get_tracing_count() == 1


def test_compiled_steps_are_the_same_to_rounding(gaussian: ModuleType) -> None:
    """Without noise, which XLA draws by another algorithm."""
    task = {"objective": gaussian.negative_log_likelihood}
    plain, compiled = make(gaussian, task=task), make(gaussian, task=task, jit_compile=True)
    for trainer in (plain, compiled):
        trainer.run(trainer.iterator(), 10)
    for left, right in zip(weights(plain), weights(compiled), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-5)


def test_the_gradient_norm_is_reported_before_clipping(gaussian: ModuleType) -> None:
    """A clipped gradient enters AdamW's first moment, m = 0.1 g after one step; the report keeps the true norm."""
    free, clipped = make(gaussian, clip_norm=0.0), make(gaussian, clip_norm=0.01)
    norms = [trainer.run(trainer.iterator(), 1).sums["gradient_norm"] for trainer in (free, clipped)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-6)
    for trainer, expected in ((free, norms[0]), (clipped, 0.01)):
        moments = [v.numpy() for v in trainer.mean_gradients()]
        total = np.sqrt(sum(float(np.sum(np.square(m))) for m in moments))
        assert total == pytest.approx(0.1 * expected, rel=1e-4)


def test_seeds_decide_the_noise(gaussian: ModuleType) -> None:
    losses = [t.run(t.iterator(), 5).sums["loss"] for t in (make(gaussian, seed=s) for s in (0, 0, 1))]
    assert losses[0] == losses[1] != losses[2]


def test_a_step_that_is_not_finite_changes_nothing_and_ends_the_call(gaussian: ModuleType) -> None:
    def spoilt(first: int) -> tf.data.Dataset:
        return gaussian.batches(first).enumerate(first).map(lambda i, b: tf.where(i == 3, b * NAN, b))

    trainer, sound = make(gaussian, task={"dataset": spoilt}), make(gaussian)
    report = trainer.run(trainer.iterator(), 10)
    sound.run(sound.iterator(), 3)
    assert (report.steps, report.bad_step, int(trainer.step)) == (3, 3, 3)
    assert np.isfinite(list(report.sums.values())).all()
    for left, right in zip(weights(trainer), weights(sound), strict=True):
        np.testing.assert_array_equal(left, right)


def test_a_gradient_that_is_not_finite_counts_too(gaussian: ModuleType) -> None:
    def root(model: Any, batch: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        return tf.reduce_sum(tf.sqrt(tf.abs(model.bias))), {}

    trainer = make(gaussian, task={"objective": root})
    assert trainer.run(trainer.iterator(), 2).bad_step == 0
    np.testing.assert_array_equal(trainer.model.bias.numpy(), 0.0)


def test_averaged_weights_come_and_go_bit_for_bit(gaussian: ModuleType) -> None:
    trainer = make(gaussian)
    trainer.run(trainer.iterator(), 5)
    raw = trainer.model.kernel.numpy()
    with pytest.raises(RuntimeError), trainer.averaged():
        inside = trainer.model.kernel.numpy()
        raise RuntimeError
    np.testing.assert_array_equal(trainer.model.kernel.numpy(), raw)
    np.testing.assert_array_equal(inside, trainer.packed.split(trainer.average.variables)[0].numpy())
    assert np.abs(inside - raw).max() > 1e-4


def test_initialise_sees_the_first_batch_and_the_averages_start_there(gaussian: ModuleType) -> None:
    def centre(model: Any, batch: tf.Tensor, seed: tf.Tensor) -> None:
        model.bias.assign(-tf.reduce_mean(batch, axis=0))

    trainer = make(gaussian, task={"initialise": centre})
    trainer.initialise()
    expected = -next(iter(gaussian.batches(0))).numpy().mean(axis=0)
    np.testing.assert_allclose(trainer.model.bias.numpy(), expected, rtol=1e-5)
    averages = trainer.packed.split(trainer.average.variables)
    np.testing.assert_array_equal(averages[1].numpy(), trainer.model.bias.numpy())


def test_batches_may_be_structures(gaussian: ModuleType, mirrored: tf.distribute.Strategy) -> None:
    def pairs(first: int) -> tf.data.Dataset:
        return gaussian.batches(first).map(lambda batch: {"x": batch, "y": batch[:, 0]})

    def objective(model: Any, batch: Any, seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        loss, _ = gaussian.negative_log_likelihood(model, batch["x"], seed)
        return loss, {"y": tf.reduce_mean(batch["y"])}

    task = {"dataset": pairs, "objective": objective}
    trainers = [make(gaussian, s, task=task) for s in (None, mirrored)]
    sums = [trainer.run(trainer.iterator(), 3).sums["y"] for trainer in trainers]
    assert sums[0] == pytest.approx(sums[1], rel=1e-5)


def test_a_variable_without_gradient_is_named(gaussian: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    def half(model: Any, batch: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        return tf.reduce_mean(tf.square(tf.matmul(batch, model.kernel))), {}

    trainer = make(gaussian, task={"objective": half})
    with caplog.at_level(logging.WARNING):
        trainer.run(trainer.iterator(), 1)
    assert "does not depend on" in caplog.text and "bias" in caplog.text


def test_a_model_with_nothing_to_train_is_refused(gaussian: ModuleType) -> None:
    class Empty(keras.Model):
        pass

    with pytest.raises(InputError, match="task gaussian must have trainable variables"):
        make(gaussian, task={"build": Empty})


def test_the_state_holds_every_variable_once(gaussian: ModuleType) -> None:
    trainer = make(gaussian)
    state = trainer.state()
    flat = [id(v) for value in state.values() for v in (value if isinstance(value, list) else [value])]
    assert len(flat) == len(set(flat))
    assert len(state["weights"]) == len(trainer.model.variables)  # type: ignore[arg-type]
