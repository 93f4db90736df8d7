"""A flow as a chain of functional steps: each depends on explicit tensors only, and gives the gradients in them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import keras
import tensorflow as tf

from tfsep.bijectors.reversible import stacked_parameters
from tfsep.bijectors.step import Step


@dataclass(frozen=True)
class FunctionalStep:
    """One step of a chain as a function of its parameters; the bijector is made whenever it is needed.

    Args:
        make: values of the parameters -> the bijector.
        bind: values of the parameters -> a context in which the variables that the step reads,
            those of its network among them, have these values; the bijector is made and used in it.
        conditions: float tensors that the step depends on beside its weights.
        weights: variables that it depends on.
        signature: equal for steps that differ in the values of their parameters only; None for one
            that equals no other.
    """

    make: Callable[[Sequence[tf.Tensor]], Step]
    bind: Callable[[Sequence[tf.Tensor]], AbstractContextManager[object]]
    conditions: tuple[tf.Tensor, ...] = ()
    weights: tuple[keras.Variable, ...] = ()
    signature: Hashable = None

    @cached_property
    def parameters(self) -> tuple[tf.Tensor, ...]:
        """All that the step depends on, as tensors: the conditions, then the values of the weights."""
        return (*self.conditions, *(stacked_parameters.value(weight) for weight in self.weights))

    def inverse_and_log_det(self, y: tf.Tensor, values: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Map data to latents under these values of the parameters.

        Args:
            y: data, (batch, ...).
            values: of :attr:`parameters`.

        Returns:
            The latents and log|det| (batch,), in nats.
        """
        with self.bind(values):
            return self.make(values).inverse_and_log_det(y)

    def gradients(
        self, x: tf.Tensor, values: Sequence[tf.Tensor], rebuild: bool, grad: tf.Tensor, grad_log_det: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """Return the step's data, the gradient in the data, and the gradients in the parameters.

        Args:
            x: the step's latents, if the data are to be rebuilt from them, else its data.
            values: of :attr:`parameters`.
            rebuild: rebuild the data by inversion.
            grad: the gradient in the latents, of their shape.
            grad_log_det: the gradient in log|det|, (batch,).
        """
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            with self.bind(values):
                step = self.make(values)
                recompute = step.recompute_from_latent if rebuild else step.recompute_from_data
                again = recompute(x, tape.watch)
        count, zero = len(again.parts), tf.UnconnectedGradients.ZERO
        outputs, grads = [again.latent, again.log_det], [grad, grad_log_det]
        found = tape.gradient(outputs, [*again.parts, *values], grads, unconnected_gradients=zero)
        return again.merge(again.parts), again.merge(found[:count]), found[count:]


@dataclass(frozen=True)
class Split:
    """All but the first ``num_kept`` channels are set aside until the :class:`Concatenate` that matches."""

    num_kept: int


@dataclass(frozen=True)
class Concatenate:
    """The channels that were set aside last come back behind those of the chain."""


#: What a chain consists of, from the data's side to the latents'; each :class:`Split` has its :class:`Concatenate`.
Element: TypeAlias = FunctionalStep | Split | Concatenate


def after(x: tf.Tensor, others: Sequence[tf.Tensor]) -> tf.Tensor:
    """Return x, but not before the others are computed: plus a zero made from them, zero whatever they are."""
    firsts = [tf.cast(tf.reshape(other, [-1])[:1], x.dtype) for other in others]
    return x + tf.reduce_sum(tf.cast(tf.concat(firsts, axis=0) > x.dtype.as_numpy_dtype("inf"), x.dtype))
