"""The learning rate's course, what weight decay leaves alone, and the averaged weights."""

from __future__ import annotations

import math
from types import ModuleType

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfsep.training.optimiser import AveragedWeights, WarmupSchedule, build_optimiser
from tfsep.training.packed_variables import PackedVariables
from tfsep.training.task import FitSettings


def rate(step: int, restores: int = 0, **changes: object) -> float:
    settings = FitSettings(**{"num_steps": 110, "warmup_steps": 10, "learning_rate": 0.5, **changes})  # type: ignore
    schedule = WarmupSchedule(settings, tf.Variable(restores, dtype=tf.int64))
    return float(schedule(tf.constant(step)))


@pytest.mark.parametrize(("step", "expected"), [(0, 0.05), (4, 0.25), (9, 0.5), (10, 0.5), (60, 0.25), (110, 0.0)])
def test_the_rate_rises_then_falls_along_a_cosine(step: int, expected: float) -> None:
    assert rate(step) == pytest.approx(expected, abs=1e-7)


def test_a_quarter_of_the_cosine() -> None:
    assert rate(35) == pytest.approx(0.25 * (1 + math.cos(math.pi / 4)), rel=1e-6)


def test_a_constant_rate_stays() -> None:
    assert rate(9, decay="constant") == rate(109, decay="constant") == pytest.approx(0.5)


def test_without_warm_up_the_peak_comes_first() -> None:
    assert rate(0, warmup_steps=0) == pytest.approx(0.5)


@pytest.mark.parametrize("restores", [1, 2, 5])
def test_every_return_halves_the_rate(restores: int) -> None:
    assert rate(30, restores) == pytest.approx(rate(30) * 0.5**restores, rel=1e-6)


def test_the_rate_never_rises_again_beyond_the_end() -> None:
    assert rate(500) == pytest.approx(0.0, abs=1e-7)


def flat(model: keras.Model) -> PackedVariables:
    return PackedVariables([v.value for v in model.trainable_variables])


def step_without_gradient(model: keras.Model, settings: FitSettings) -> None:
    weights = flat(model)
    optimiser = build_optimiser(settings, weights, tf.Variable(0, dtype=tf.int64))
    optimiser.apply([tf.zeros_like(vector.value) for vector in weights.vectors], weights.vectors)
    weights.unpack()


def test_weight_decay_shrinks_matrices_and_not_vectors(gaussian: ModuleType) -> None:
    model = gaussian.AffineFlow()
    model.bias.assign(tf.ones_like(model.bias))
    before = model.kernel.numpy()
    settings = FitSettings(warmup_steps=0, decay="constant", learning_rate=0.1, weight_decay=0.5)
    step_without_gradient(model, settings)
    np.testing.assert_allclose(model.kernel.numpy(), before * (1 - 0.1 * 0.5), rtol=1e-6)
    np.testing.assert_array_equal(model.bias.numpy(), np.ones(gaussian.DIMENSIONS, np.float32))


def test_without_weight_decay_a_zero_gradient_moves_nothing(gaussian: ModuleType) -> None:
    model = gaussian.AffineFlow()
    before = model.kernel.numpy()
    step_without_gradient(model, FitSettings(weight_decay=0.0))
    np.testing.assert_array_equal(model.kernel.numpy(), before)


def test_the_optimiser_is_adamw_with_all_its_variables(gaussian: ModuleType) -> None:
    model = gaussian.AffineFlow()
    weights = flat(model)
    optimiser = build_optimiser(FitSettings(), weights, tf.Variable(0, dtype=tf.int64))
    assert isinstance(optimiser, keras.optimizers.AdamW)
    lengths = sorted(v.shape[0] for v in optimiser.variables if len(v.shape))
    assert lengths == 2 * [gaussian.DIMENSIONS] + 2 * [gaussian.DIMENSIONS**2]
    for moments in (optimiser._momentums, optimiser._velocities):
        shapes = [tuple(part.shape) for part in weights.split([moment.value for moment in moments])]
        assert shapes == [tuple(v.shape) for v in model.trainable_variables]


def test_the_average_follows_its_formula() -> None:
    variable = tf.Variable([1.0, -2.0])
    weights = PackedVariables([variable])
    average = AveragedWeights(weights, decay=0.5)
    expected = variable.numpy()
    for step in range(20):
        variable.assign([float(step), 2.0])
        weights.pack()
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * variable.numpy()
        average.update(average.decay_at(tf.constant(step)))
    np.testing.assert_allclose(average.variables[0].numpy(), expected, rtol=1e-6)


def test_no_decay_makes_the_average_the_weights() -> None:
    variable = tf.Variable([1.0])
    weights = PackedVariables([variable])
    average = AveragedWeights(weights, decay=0.0)
    variable.assign([7.0])
    weights.pack()
    average.update(average.decay_at(tf.constant(3)))
    assert average.variables[0].numpy() == [7.0]


def test_averages_go_into_the_variables_and_start_again_from_them() -> None:
    variable = tf.Variable([1.0])
    weights = PackedVariables([variable])
    average = AveragedWeights(weights, decay=0.9)
    variable.assign([5.0])
    weights.unpack(average.variables)
    assert variable.numpy() == [1.0]
    variable.assign([3.0])
    weights.pack()
    average.reset()
    assert average.variables[0].numpy() == [3.0]


def test_long_vectors_keep_matrices_and_dtypes_apart_and_every_value_in_its_place() -> None:
    shapes = {"float32": [(2, 3), (), (4,), (1, 2, 2)], "float64": [(2,), (2, 2)]}
    variables = [tf.Variable(np.random.default_rng(len(s)).normal(size=s), dtype=d) for d in shapes for s in shapes[d]]
    before = [variable.numpy() for variable in variables]
    weights = PackedVariables(variables)
    assert sorted((v.dtype, v.shape[0]) for v in weights.vectors) == [
        ("float32", 5),
        ("float32", 10),
        ("float64", 2),
        ("float64", 4),
    ]
    assert sorted(v.shape[0] for v in weights.small) == [2, 5]
    for variable, value in zip(variables, weights.split([v.value for v in weights.vectors]), strict=True):
        np.testing.assert_array_equal(value.numpy(), variable.numpy())
        variable.assign(tf.zeros_like(variable))
    weights.unpack()
    for variable, value in zip(variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
