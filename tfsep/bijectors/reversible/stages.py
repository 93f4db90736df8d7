"""A flow as a chain of stages, each a step that depends on tensors only, and the gradients of one stage."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import tensorflow as tf

from tfsep.bijectors.reversible import stacked_parameters
from tfsep.bijectors.step import Step


@dataclass(frozen=True)
class Stage:
    """One step of a chain, made whenever it is needed.

    Args:
        make: parameters -> the step.
        lend: parameters -> a context in which the step is made and used; whatever it reads there, its network's
            weights among it, comes from them.
        given: float tensors that the step depends on beside its weights.
        weights: variables that it depends on.
        form: equal for stages that differ in their parameters only, whose shapes are equal too; None for one that is
            like no other.
    """

    make: Callable[[Sequence[tf.Tensor]], Step]
    lend: Callable[[Sequence[tf.Tensor]], AbstractContextManager[Any]]
    given: tuple[tf.Tensor, ...] = ()
    weights: tuple[keras.Variable, ...] = ()
    form: Hashable = None

    @cached_property
    def parameters(self) -> tuple[tf.Tensor, ...]:
        """All that the step depends on, as tensors: what is given and the values of the weights."""
        return (*self.given, *(stacked_parameters.value(weight) for weight in self.weights))

    def inverse_and_log_det(self, y: tf.Tensor, lent: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Data to latent with these parameters: the latents and log|det| (batch,), in nats."""
        with self.lend(lent):
            return self.make(lent).inverse_and_log_det(y)

    def gradients(
        self, x: tf.Tensor, lent: Sequence[tf.Tensor], rebuild: bool, grad: tf.Tensor, grad_log_det: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """The stage's input, its gradient and those of the parameters.

        Args:
            x: its output, if to ``rebuild`` the input from, else its input.
            lent: its parameters.
            rebuild: invert the step.
            grad, grad_log_det: the gradients in its output and its log|det|.
        """
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(lent)
            with self.lend(lent):
                step = self.make(lent)
                again = step.recompute_data(x, tape.watch) if rebuild else step.traced(x, tape.watch)
        count, zero = len(again.parts), tf.UnconnectedGradients.ZERO
        outputs, grads = [again.latent, again.log_det], [grad, grad_log_det]
        found = tape.gradient(outputs, [*again.parts, *lent], grads, unconnected_gradients=zero)
        return again.join(again.parts), again.join(found[:count]), found[count:]


@dataclass(frozen=True)
class Leave:
    """All but the first ``num_kept`` channels wait beside the chain; see :class:`Join`."""

    num_kept: int


@dataclass(frozen=True)
class Join:
    """The channels that left last come back behind those of the chain."""


def after(x: tf.Tensor, others: Sequence[tf.Tensor]) -> tf.Tensor:
    """X, not before the others are known: plus a zero that is computed from them, zero whatever they are."""
    firsts = [tf.cast(tf.reshape(other, [-1])[:1], x.dtype) for other in others]
    return x + tf.reduce_sum(tf.cast(tf.concat(firsts, axis=0) > x.dtype.as_numpy_dtype("inf"), x.dtype))
