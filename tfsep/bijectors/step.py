r"""What every step of a flow has in common: the map and its log-determinant come out of one pass.

TFP evaluates :math:`f(x)` and :math:`\log|\det \partial f / \partial x|` of a bijector separately,
which evaluates a coupling's network twice. A :class:`Step` computes both at once; its TFP methods
return parts of that pass, so any step also works inside ``tfb.Chain`` and
``tfd.TransformedDistribution``.

Conventions: ``forward`` maps latent to data. Events are (time, channel) or (frame, bin, channel),
so ``event_ndims`` is 2 or 3, after one batch axis. Log-determinants are (batch,), in nats.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import tensorflow as tf
from tensorflow_probability import bijectors as tfb


def per_example(value: tf.Tensor) -> tf.Tensor:
    """Sum over everything but the batch axis: (batch, ...) -> (batch,)."""
    return tf.reduce_sum(value, axis=list(range(1, value.shape.rank)))


@dataclass(frozen=True)
class Recomputed:
    """A pass of a step from data to latent that is computed again, to be differentiated.

    Attributes:
        parts: the data, split into parts that a tape watches; no gradient flows into what they were
            computed from.
        merge: parts -> data. It only reorders entries, so it also turns gradients in the parts into
            one in the data.
        latent, log_det: g(data) and log|det dg/dy|, computed from the parts.
    """

    parts: tuple[tf.Tensor, ...]
    merge: Callable[[Sequence[tf.Tensor]], tf.Tensor]
    latent: tf.Tensor
    log_det: tf.Tensor


Watch = Callable[[tf.Tensor], None]


class Step(tfb.Bijector, metaclass=abc.ABCMeta):  # type: ignore[misc]  # TFP has no types
    """An invertible map of one batch axis and ``event_ndims`` event axes."""

    def __init__(self, event_ndims: int, dtype: tf.DType, parameters: dict[str, object], name: str) -> None:
        """Declare the rank of an event and the dtype; ``parameters`` is TFP's record of the constructor's arguments."""
        super().__init__(forward_min_event_ndims=event_ndims, dtype=dtype, parameters=parameters, name=name)

    @abc.abstractmethod
    def forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Map latent to data: f(x) and log|det df/dx|, (batch,)."""

    @abc.abstractmethod
    def inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Map data to latent: g(y) and log|det dg/dy|, (batch,)."""

    def recompute_from_data(self, y: tf.Tensor, watch: Watch) -> Recomputed:
        """Compute the pass to the latent again from its data y (batch, ...); ``watch`` is a gradient tape's."""
        y = tf.stop_gradient(y)
        watch(y)
        return Recomputed((y,), lambda parts: parts[0], *self.inverse_and_log_det(y))

    def recompute_from_latent(self, x: tf.Tensor, watch: Watch) -> Recomputed:
        """Compute the pass again from its latent x (batch, ...), from which the data are rebuilt by inversion.

        Couplings override it: their network's one evaluation serves the inversion and the pass.
        """
        return self.recompute_from_data(self.forward_and_log_det(tf.stop_gradient(x))[0], watch)

    def _checked(self, x: tf.Tensor) -> tf.Tensor:
        if x.shape.rank != self.forward_min_event_ndims + 1:
            axes = self.forward_min_event_ndims
            raise ValueError(f"{self.name} maps one batch axis and {axes} event axes, got the shape {x.shape}")
        return x

    def _forward(self, x: tf.Tensor) -> tf.Tensor:
        return self.forward_and_log_det(self._checked(x))[0]

    def _inverse(self, y: tf.Tensor) -> tf.Tensor:
        return self.inverse_and_log_det(self._checked(y))[0]

    def _forward_log_det_jacobian(self, x: tf.Tensor) -> tf.Tensor:
        return self.forward_and_log_det(self._checked(x))[1]

    def _inverse_log_det_jacobian(self, y: tf.Tensor) -> tf.Tensor:
        return self.inverse_and_log_det(self._checked(y))[1]

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict[str, object]:
        return {}


class Composition(Step):
    """Steps applied in a row, listed from the data's side to the latent's (the order of ``tfb.Chain``)."""

    def __init__(self, steps: Sequence[Step], event_ndims: int, dtype: tf.DType, name: str = "composition") -> None:
        """Compose ``steps``; an empty list is the identity."""
        parameters = dict(locals())
        self.steps = tuple(steps)
        super().__init__(event_ndims, dtype, parameters, name)

    def forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Map latent to data through the steps from last to first."""
        log_det = tf.zeros(tf.shape(x)[:1], x.dtype)
        for step in reversed(self.steps):
            x, change = step.forward_and_log_det(x)
            log_det += change
        return x, log_det

    def inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Map data to latent through the steps from first to last."""
        log_det = tf.zeros(tf.shape(y)[:1], y.dtype)
        for step in self.steps:
            y, change = step.inverse_and_log_det(y)
            log_det += change
        return y, log_det

    def as_chain(self) -> tfb.Bijector:
        """Return the same map as a plain ``tfb.Chain`` of the steps."""
        return tfb.Chain(list(self.steps)) if self.steps else tfb.Identity()

    def _forward_event_shape_tensor(self, input_shape: tf.Tensor) -> tf.Tensor:
        for step in reversed(self.steps):
            input_shape = step.forward_event_shape_tensor(input_shape)
        return input_shape

    def _inverse_event_shape_tensor(self, output_shape: tf.Tensor) -> tf.Tensor:
        for step in self.steps:
            output_shape = step.inverse_event_shape_tensor(output_shape)
        return output_shape

    def _forward_event_shape(self, input_shape: tf.TensorShape) -> tf.TensorShape:
        for step in reversed(self.steps):
            input_shape = step.forward_event_shape(input_shape)
        return input_shape

    def _inverse_event_shape(self, output_shape: tf.TensorShape) -> tf.TensorShape:
        for step in self.steps:
            output_shape = step.inverse_event_shape(output_shape)
        return output_shape
