"""The weights of a flow: Keras layers that own them and lend them to bijectors.

Each layer's ``step(condition)`` returns the bijector for a given noise condition (batch, width) or None. ``initialise``
sets data-dependent weights while a batch passes from the data's side to the latents'.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfsep import bijectors
from tfsep.bijectors import actnorm, invertible_conv
from tfsep.bijectors.masks import Mask

NetworkFactory = Callable[[int, int], keras.layers.Layer]


class FlowLayer(keras.layers.Layer):
    """Owner of one step's weights."""

    def __init__(self, event_ndims: int, **kwargs: Any) -> None:
        """Set the rank of an event."""
        super().__init__(**kwargs)
        self.event_ndims = event_ndims
        self.tf_dtype = tf.as_dtype(self.dtype_policy.variable_dtype)
        self.built = True

    def step(self, condition: tf.Tensor | None) -> bijectors.Step:
        """The bijector under ``condition``."""
        raise TypeError(f"{type(self).__name__} does not define its bijector")

    def initialise(self, y: tf.Tensor, condition: tf.Tensor | None) -> tf.Tensor:
        """Set data-dependent weights from the data-side batch y; return the latent side."""
        return self.step(condition).inverse_and_log_det(y)[0]

    def free_weight(self, name: str, value: Any, trainable: bool = True) -> tf.Variable:
        """A weight of this layer with the given initial value."""
        value = np.asarray(value, self.tf_dtype.as_numpy_dtype)
        start = keras.initializers.Constant(value)
        return self.add_weight(shape=value.shape, initializer=start, trainable=trainable, name=name)


class ActNormLayer(FlowLayer):
    """Owner of :class:`tfsep.bijectors.ActNorm`."""

    def __init__(self, num_channels: int, event_ndims: int, **kwargs: Any) -> None:
        """Start as the identity."""
        super().__init__(event_ndims, **kwargs)
        self.shift = self.free_weight("shift", np.zeros(num_channels))
        self.log_scale = self.free_weight("log_scale", np.zeros(num_channels))

    def step(self, condition: tf.Tensor | None) -> bijectors.Step:
        """The bijector; the condition has no influence."""
        shift, log_scale = tf.convert_to_tensor(self.shift), tf.convert_to_tensor(self.log_scale)
        return bijectors.ActNorm(shift, log_scale, self.event_ndims, self.tf_dtype)

    def initialise(self, y: tf.Tensor, condition: tf.Tensor | None) -> tf.Tensor:
        """Whiten the channels of y."""
        shift, log_scale = actnorm.statistics(y)
        self.shift.assign(shift)
        self.log_scale.assign(log_scale)
        return super().initialise(y, condition)


class InvertibleConvLayer(FlowLayer):
    """Owner of :class:`tfsep.bijectors.InvertibleConv`, a random rotation at first."""

    def __init__(self, num_channels: int, event_ndims: int, seed: int, **kwargs: Any) -> None:
        """Draw the rotation from ``seed``."""
        super().__init__(event_ndims, **kwargs)
        factors = invertible_conv.random_rotation(num_channels, seed)
        fixed = ("permutation", "sign")
        self.factors = {name: self.free_weight(name, value, name not in fixed) for name, value in factors.items()}

    def step(self, condition: tf.Tensor | None) -> bijectors.Step:
        """The bijector; the condition has no influence."""
        factors = {name: tf.convert_to_tensor(weight) for name, weight in self.factors.items()}
        return bijectors.InvertibleConv(**factors, event_ndims=self.event_ndims, dtype=self.tf_dtype)


class CouplingLayer(FlowLayer):
    """Owner of :class:`tfsep.bijectors.Coupling` and its network.

    Args:
        event_shape: of the event that is coupled.
        mask: which part conditions.
        make_network: (in_channels, out_channels) -> network called as network(features, condition).
        additive: shift only.
        bound: soft clamp of the log-scale in nats.
    """

    def __init__(
        self,
        event_shape: tuple[int, ...],
        mask: Mask,
        make_network: NetworkFactory,
        additive: bool,
        bound: float,
        **kwargs: Any,
    ) -> None:
        """Build the network."""
        super().__init__(len(event_shape), **kwargs)
        self.mask, self.additive, self.bound = mask, additive, bound
        channels = mask.part_shape(event_shape)[-1]
        self.network = make_network(channels, channels if additive else 2 * channels)

    def step(self, condition: tf.Tensor | None) -> bijectors.Step:
        """The bijector under ``condition``."""

        def conditioner(kept: tf.Tensor) -> tf.Tensor:
            return self.network(kept, condition)

        return bijectors.Coupling(
            conditioner, self.mask, self.event_ndims, self.tf_dtype, additive=self.additive, bound=self.bound
        )


class SqueezeLayer(FlowLayer):
    """Owner of nothing: :class:`tfsep.bijectors.Squeeze`, reversed to restore a shape."""

    def __init__(self, factors: tuple[int, ...], reverse: bool = False, **kwargs: Any) -> None:
        """Set the factors."""
        super().__init__(len(factors) + 1, **kwargs)
        self.squeeze_factors, self.reverse = tuple(factors), reverse

    def step(self, condition: tf.Tensor | None) -> bijectors.Step:
        """The bijector; the condition has no influence."""
        return bijectors.Squeeze(self.squeeze_factors, self.tf_dtype, self.reverse)


class SequenceLayer(FlowLayer):
    """Layers in a row, from the data's side to the latents'."""

    def __init__(self, layers: Sequence[FlowLayer], event_ndims: int, **kwargs: Any) -> None:
        """Own ``layers``."""
        super().__init__(event_ndims, **kwargs)
        self.layers = list(layers)

    def step(self, condition: tf.Tensor | None) -> bijectors.Composition:
        """The composition under ``condition``."""
        steps = [layer.step(condition) for layer in self.layers]
        return bijectors.Composition(steps, self.event_ndims, self.tf_dtype)

    def initialise(self, y: tf.Tensor, condition: tf.Tensor | None) -> tf.Tensor:
        """Initialise each layer on what the ones before it give."""
        for layer in self.layers:
            y = layer.initialise(y, condition)
        return y


class MultiscaleLayer(FlowLayer):
    """Owner of :class:`tfsep.bijectors.Multiscale`: the inner layers and the network of the split distribution."""

    def __init__(
        self, inner: FlowLayer, num_channels: int, make_network: NetworkFactory, bound: float, **kwargs: Any
    ) -> None:
        """Own ``inner``, which sees half of the ``num_channels`` channels."""
        super().__init__(inner.event_ndims, **kwargs)
        self.inner, self.bound = inner, bound
        self.network = make_network(num_channels // 2, num_channels)

    def _around(self, inner: bijectors.Step, condition: tf.Tensor | None) -> bijectors.Step:
        def conditioner(first: tf.Tensor) -> tf.Tensor:
            return self.network(first, condition)

        return bijectors.Multiscale(inner, conditioner, self.event_ndims, self.tf_dtype, self.bound)

    def step(self, condition: tf.Tensor | None) -> bijectors.Step:
        """The bijector under ``condition``."""
        return self._around(self.inner.step(condition), condition)

    def initialise(self, y: tf.Tensor, condition: tf.Tensor | None) -> tf.Tensor:
        """Initialise the inner layers on their half."""
        self.inner.initialise(tf.split(y, 2, axis=-1)[0], condition)
        return super().initialise(y, condition)
