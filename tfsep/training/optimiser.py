"""AdamW (Loshchilov & Hutter 2019) with warm-up, decay and halved rates; averaged weights.

Learning rate of step t (from 0), peak r, W warm-up steps, T steps, n returns to an earlier
checkpoint:

    rate(t) = r 2^-n  min(1, (t + 1) / W)  d(t)
    d(t) = (1 + cos(pi (t - W) / (T - W))) / 2

d is 1 during the warm-up and for constant decay.

Averaged weights after step t (from 0), decay b:

    a <- b_t a + (1 - b_t) w,  b_t = min(b, (1 + t) / (10 + t))

so that the start is forgotten in short trainings.
"""

from __future__ import annotations

import math

import keras
import tensorflow as tf

from tfsep.training.packed_variables import PackedVariables
from tfsep.training.task import FitSettings


class WarmupSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up, then cosine decay to zero or a constant; halved at each return to a checkpoint."""

    def __init__(self, settings: FitSettings, restores: tf.Variable) -> None:
        """Keep the settings and the int64 scalar variable that counts the returns."""
        self._settings = settings
        self._restores = restores

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Return the learning rate of a step, both scalars."""
        settings = self._settings
        time = tf.cast(step, tf.float32)
        warmup = tf.minimum(1.0, (time + 1.0) / max(settings.warmup_steps, 1))
        rate = settings.learning_rate * tf.pow(0.5, tf.cast(self._restores, tf.float32)) * warmup
        if settings.decay == "constant":
            return rate
        length = max(settings.num_steps - settings.warmup_steps, 1)
        done = tf.clip_by_value((time - settings.warmup_steps) / length, 0.0, 1.0)
        return rate * 0.5 * (1.0 + tf.cos(math.pi * done))

    def get_config(self) -> dict[str, object]:
        """Return an empty configuration: the schedule is rebuilt from the settings."""
        return {}


class ReducedGradientAdamW(keras.optimizers.AdamW):
    """AdamW that takes gradients already averaged over the replicas.

    Keras sums the gradients of the replicas inside ``apply``, after its own clipping. Clipping by
    the norm of the global gradient needs the sum before.
    """

    def _all_reduce_sum_gradients(
        self, grads_and_vars: list[tuple[tf.Tensor, tf.Variable]]
    ) -> list[tuple[tf.Tensor, tf.Variable]]:
        return grads_and_vars


def build_optimiser(
    settings: FitSettings, weights: PackedVariables, restores: tf.Variable
) -> keras.optimizers.Optimizer:
    """Build the optimiser of a model's weights; to be called under ``strategy.scope()``.

    Vectors and scalars (biases, scales, shifts) are left out of the weight decay.
    """
    schedule = WarmupSchedule(settings, restores)
    optimiser = ReducedGradientAdamW(schedule, weight_decay=settings.weight_decay)
    if settings.weight_decay == 0.0:
        optimiser.weight_decay = None
    else:
        optimiser.exclude_from_weight_decay(var_list=weights.small)
    optimiser.build(weights.vectors)
    return optimiser


class AveragedWeights:
    """Exponential moving averages of packed weights, as plain variables outside the model."""

    def __init__(self, weights: PackedVariables, decay: float) -> None:
        """Start the averages at the present values of the vectors."""
        self._sources = [vector.value for vector in weights.vectors]
        self._decay = decay
        self.variables = [tf.Variable(tf.convert_to_tensor(v), trainable=False) for v in self._sources]

    def reset(self) -> None:
        """Set the averages to the present values of the vectors."""
        for average, source in zip(self.variables, self._sources, strict=True):
            average.assign(tf.convert_to_tensor(source))

    def decay_at(self, step: tf.Tensor) -> tf.Tensor:
        """Return the decay used after a step (from 0), a float32 scalar."""
        time = tf.cast(step, tf.float32)
        return tf.minimum(self._decay, (1.0 + time) / (10.0 + time))

    def update(self, decay: tf.Tensor) -> None:
        """Move each average towards its vector: a <- a + (1 - decay) (w - a)."""
        for average, source in zip(self.variables, self._sources, strict=True):
            value = tf.convert_to_tensor(source)
            average.assign_add(tf.cast(1.0 - decay, value.dtype) * (value - average))
