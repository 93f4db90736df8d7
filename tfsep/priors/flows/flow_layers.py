"""Keras layers that hold the weights of a flow and build bijectors from them.

Each layer's ``step(condition)`` returns the bijector for a given noise condition (batch, width) or
None. ``initialise`` sets data-dependent weights while a batch passes from the data's side to the
latents'.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Unpack

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfsep import bijectors
from tfsep.bijectors import actnorm, invertible_conv
from tfsep.bijectors.coupling import check_bound, soft_clamp
from tfsep.bijectors.masks import Mask
from tfsep.bijectors.reversible.functional_step import Concatenate, Element, FunctionalStep, Split
from tfsep.networks.layer_arguments import LayerArguments

NetworkFactory = Callable[[int, int], keras.layers.Layer]


class FlowLayer(keras.layers.Layer):
    """Keras layer that holds the weights of one step of a flow."""

    def __init__(self, event_ndims: int, **kwargs: Unpack[LayerArguments]) -> None:
        super().__init__(**kwargs)
        self.event_ndims = event_ndims
        self.tf_dtype = tf.as_dtype(self.dtype_policy.variable_dtype)
        self.built = True

    def step(self, condition: tf.Tensor | None) -> bijectors.Step:
        """Return the bijector under a condition (batch, condition_width), or under none.

        Raises:
            TypeError: if the layer does not define it.
        """
        raise TypeError(f"{type(self).__name__} does not define its bijector")

    def chain(self, condition: tf.Tensor | None) -> list[Element]:
        """Return the step as a chain of functional steps (:mod:`tfsep.bijectors.reversible.gradient`)."""
        return [functional_step(self.step, condition, self.weights, self.signature())]

    def signature(self) -> Hashable:
        """Return what is equal for layers that differ in the values of their weights only; None equals no other."""
        return None

    def initialise(self, y: tf.Tensor, condition: tf.Tensor | None) -> tf.Tensor:
        """Set data-dependent weights from the data-side batch y (batch, ...); return the latent side."""
        return self.step(condition).inverse_and_log_det(y)[0]

    def free_weight(self, name: str, value: npt.ArrayLike, trainable: bool = True) -> tf.Variable:
        """Add a weight to this layer, with the given initial value."""
        array = np.asarray(value, self.tf_dtype.as_numpy_dtype)
        start = keras.initializers.Constant(array)
        return self.add_weight(shape=array.shape, initializer=start, trainable=trainable, name=name)


def functional_step(
    make_step: Callable[[tf.Tensor | None], bijectors.Step],
    condition: tf.Tensor | None,
    weights: Sequence[keras.Variable],
    signature: Hashable = None,
) -> FunctionalStep:
    """Make a step a function of tensors: of the condition, where there is one, and the values of the weights."""
    conditions = () if condition is None else (condition,)

    def make(values: Sequence[tf.Tensor]) -> bijectors.Step:
        return make_step(values[0] if conditions else None)

    def bind(values: Sequence[tf.Tensor]) -> keras.StatelessScope:
        return keras.StatelessScope(state_mapping=list(zip(weights, values[len(conditions) :], strict=True)))

    return FunctionalStep(make, bind, conditions, tuple(weights), signature)


class ActNormLayer(FlowLayer):
    """Keras layer that holds the weights of :class:`tfsep.bijectors.ActNorm`, the identity at first."""

    def __init__(self, num_channels: int, event_ndims: int, **kwargs: Unpack[LayerArguments]) -> None:
        super().__init__(event_ndims, **kwargs)
        self.shift = self.free_weight("shift", np.zeros(num_channels))
        self.log_scale = self.free_weight("log_scale", np.zeros(num_channels))

    def step(self, condition: tf.Tensor | None) -> bijectors.Step:
        """Return the bijector; the condition has no influence."""
        shift, log_scale = tf.convert_to_tensor(self.shift), tf.convert_to_tensor(self.log_scale)
        return bijectors.ActNorm(shift, log_scale, self.event_ndims, self.tf_dtype)

    def signature(self) -> Hashable:
        """Return its kind and number of channels."""
        return ("actnorm", tuple(self.shift.shape), self.event_ndims)

    def initialise(self, y: tf.Tensor, condition: tf.Tensor | None) -> tf.Tensor:
        """Whiten the channels of y."""
        shift, log_scale = actnorm.statistics(y)
        self.shift.assign(shift)
        self.log_scale.assign(log_scale)
        return super().initialise(y, condition)


class InvertibleConvLayer(FlowLayer):
    """Keras layer that holds the weights of :class:`tfsep.bijectors.InvertibleConv`, a random rotation at first."""

    def __init__(self, num_channels: int, event_ndims: int, seed: int, **kwargs: Unpack[LayerArguments]) -> None:
        """Draw the rotation from ``seed``."""
        super().__init__(event_ndims, **kwargs)
        factors = invertible_conv.random_rotation(num_channels, seed)
        fixed = ("permutation", "sign")
        self.factors = {name: self.free_weight(name, value, name not in fixed) for name, value in factors.items()}

    def step(self, condition: tf.Tensor | None) -> bijectors.Step:
        """Return the bijector; the condition has no influence."""
        factors = {name: tf.convert_to_tensor(weight) for name, weight in self.factors.items()}
        return bijectors.InvertibleConv(**factors, event_ndims=self.event_ndims, dtype=self.tf_dtype)

    def signature(self) -> Hashable:
        """Return its kind and number of channels."""
        return ("invertible_conv", tuple(self.factors["sign"].shape), self.event_ndims)


class CouplingLayer(FlowLayer):
    """Keras layer for :class:`tfsep.bijectors.Coupling`; its network holds the weights.

    Args:
        event_shape: of the event that is coupled.
        mask: which part conditions.
        make_network: (in_channels, out_channels) -> network called as network(features, condition).
        additive: shift only.
        bound: soft clamp of the log-scale in nats, None for none.
    """

    def __init__(
        self,
        event_shape: tuple[int, ...],
        mask: Mask,
        make_network: NetworkFactory,
        additive: bool,
        bound: float | None,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        """Build the network."""
        super().__init__(len(event_shape), **kwargs)
        self.mask, self.additive, self.bound = mask, additive, bound
        channels = mask.part_shape(event_shape)[-1]
        self.network = make_network(mask.kept_channels(event_shape), channels if additive else 2 * channels)

    def step(self, condition: tf.Tensor | None) -> bijectors.Step:
        """Return the bijector under ``condition``."""

        def conditioner(kept: tf.Tensor) -> tf.Tensor:
            return tf.cast(self.network(kept, condition), self.tf_dtype)

        return bijectors.Coupling(
            conditioner, self.mask, self.event_ndims, self.tf_dtype, additive=self.additive, bound=self.bound
        )

    def signature(self) -> Hashable:
        """Return its mask, and its network's settings."""
        settings = {name: value for name, value in self.network.get_config().items() if name != "name"}
        network = (type(self.network).__name__, repr(sorted(settings.items(), key=lambda item: item[0])))
        return ("coupling", self.mask, self.additive, self.bound, self.event_ndims, *network)


class SqueezeLayer(FlowLayer):
    """Keras layer for :class:`tfsep.bijectors.Squeeze`, reversed to restore a shape; it has no weights."""

    def __init__(self, factors: tuple[int, ...], reverse: bool = False, **kwargs: Unpack[LayerArguments]) -> None:
        super().__init__(len(factors) + 1, **kwargs)
        self.squeeze_factors, self.reverse = tuple(factors), reverse

    def step(self, condition: tf.Tensor | None) -> bijectors.Step:
        """Return the bijector; the condition has no influence."""
        return bijectors.Squeeze(self.squeeze_factors, self.tf_dtype, self.reverse)


class HalvesLayer(FlowLayer):
    """Keras layer for :class:`tfsep.bijectors.Halves`; it has no weights.

    Args:
        halving: 2 for the axis that is halved, 1 for the others.
        factors: of the squeeze of each half.
        mirrored: map the even positions given the odd ones.
        reverse: restore the event.
    """

    def __init__(
        self,
        halving: tuple[int, ...],
        factors: tuple[int, ...],
        mirrored: bool = False,
        reverse: bool = False,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        super().__init__(len(halving) + 1, **kwargs)
        self.halving, self.squeeze_factors = tuple(halving), tuple(factors)
        self.mirrored, self.reverse = mirrored, reverse

    def step(self, condition: tf.Tensor | None) -> bijectors.Step:
        """Return the bijector; the condition has no influence."""
        return bijectors.Halves(self.halving, self.squeeze_factors, self.tf_dtype, self.mirrored, self.reverse)


class SequenceLayer(FlowLayer):
    """Layers in a row, from the data's side to the latents'."""

    def __init__(self, layers: Sequence[FlowLayer], event_ndims: int, **kwargs: Unpack[LayerArguments]) -> None:
        super().__init__(event_ndims, **kwargs)
        self.layers = list(layers)

    def step(self, condition: tf.Tensor | None) -> bijectors.Composition:
        """Return the composition under ``condition``."""
        steps = [layer.step(condition) for layer in self.layers]
        return bijectors.Composition(steps, self.event_ndims, self.tf_dtype)

    def chain(self, condition: tf.Tensor | None) -> list[Element]:
        """Return the layers' chains in a row."""
        return [each for layer in self.layers for each in layer.chain(condition)]

    def initialise(self, y: tf.Tensor, condition: tf.Tensor | None) -> tf.Tensor:
        """Initialise each layer on what the ones before it give."""
        for layer in self.layers:
            y = layer.initialise(y, condition)
        return y


class MultiscaleLayer(FlowLayer):
    r"""Keras layer for :class:`tfsep.bijectors.Multiscale`: inner layers, and the network of the split distribution.

    Args:
        inner: layers on the ``num_kept`` channels that are kept.
        num_kept: channels that are kept.
        num_split: channels that are split off.
        make_network: network of the split distribution; None leaves those channels unchanged.
        bound: soft clamp of its log-scale in nats, None for none.
        floored: whether the noise is a floor of the split distribution's variance. With r the
            noise's share of the standard deviation, exp of the condition's first entry, and s the
            clamped output of the network, the variance is :math:`r^2 + (1 - r^2)\,e^{2 s}`: that of
            the noise, and of a source that is e^s as wide as on average.
    """

    def __init__(
        self,
        inner: FlowLayer,
        num_kept: int,
        num_split: int,
        make_network: NetworkFactory | None,
        bound: float | None,
        floored: bool = False,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        super().__init__(inner.event_ndims, **kwargs)
        self.inner, self.bound, self.num_kept, self.floored = inner, bound, num_kept, floored
        self.network = make_network(num_kept, 2 * num_split) if make_network is not None else None

    def step(self, condition: tf.Tensor | None) -> bijectors.Step:
        """Return the bijector under ``condition``."""
        return self._around(self.inner.step(condition), condition)

    def _around(self, inner: bijectors.Step, condition: tf.Tensor | None) -> bijectors.Step:
        network, bound = self.network, None if self.floored else self.bound
        if network is None:
            return bijectors.Multiscale(inner, None, self.event_ndims, self.tf_dtype, bound, self.num_kept)

        def conditioner(first: tf.Tensor) -> tf.Tensor:
            parameters = tf.cast(network(first, condition), self.tf_dtype)
            return self._over_the_noise(parameters, condition) if self.floored else parameters

        return bijectors.Multiscale(inner, conditioner, self.event_ndims, self.tf_dtype, bound, self.num_kept)

    def _over_the_noise(self, parameters: tf.Tensor, condition: tf.Tensor | None) -> tf.Tensor:
        if condition is None:
            raise ValueError("a distribution whose floor is the noise needs the condition of a noise level, got None")
        shift, raw = tf.split(parameters, 2, axis=-1)
        noise = 2.0 * tf.reshape(condition[:, 0], [-1] + [1] * self.event_ndims)
        source = tf.math.log(-tf.math.expm1(noise)) + 2.0 * soft_clamp(raw, self.bound)
        log_variance = noise + tf.nn.softplus(source - noise)
        return tf.concat([shift, 0.5 * log_variance], axis=-1)

    def chain(self, condition: tf.Tensor | None) -> list[Element]:
        """Return the standardisation of the channels that are split off, then the inner layers' chain on the rest."""
        identity = bijectors.Composition([], self.event_ndims, self.tf_dtype)
        inner = [Split(self.num_kept), *self.inner.chain(condition), Concatenate()]
        if self.network is None:
            return inner
        standardised = functional_step(lambda given: self._around(identity, given), condition, self.network.weights)
        return [standardised, *inner]

    def initialise(self, y: tf.Tensor, condition: tf.Tensor | None) -> tf.Tensor:
        """Initialise the inner layers on the channels that are kept."""
        self.inner.initialise(y[..., : self.num_kept], condition)
        return super().initialise(y, condition)


class DiagonalScaleLayer(FlowLayer):
    r"""Keras layer that holds the weights of :class:`tfsep.bijectors.DiagonalScale`.

    Under noise the scales are :math:`s + b \tanh(W c / b)`, with a free s and a matrix W that
    starts at zero, since the shares of the dimensions change with the noise level and
    volume-preserving layers cannot follow.

    Args:
        event_shape: of the event that is scaled.
        condition_width: size of the noise condition, 0 for none.
        bound: soft clamp b of what the condition adds, in nats, None for none.
    """

    def __init__(
        self, event_shape: tuple[int, ...], condition_width: int, bound: float | None, **kwargs: Unpack[LayerArguments]
    ) -> None:
        """Start as the identity."""
        super().__init__(len(event_shape), **kwargs)
        check_bound(bound)
        self.event_shape, self.bound = tuple(event_shape), bound
        self.log_scale = self.free_weight("log_scale", np.zeros(event_shape))
        dimensions = math.prod(event_shape)
        self.change = self.free_weight("change", np.zeros((condition_width, dimensions))) if condition_width else None

    def step(self, condition: tf.Tensor | None) -> bijectors.Step:
        """Return the bijector under ``condition``."""
        log_scale = tf.convert_to_tensor(self.log_scale)[tf.newaxis]
        if self.change is not None:
            raw = tf.matmul(condition, tf.convert_to_tensor(self.change))
            log_scale += tf.reshape(soft_clamp(raw, self.bound), [-1, *self.event_shape])
        return bijectors.DiagonalScale(log_scale, self.event_ndims, self.tf_dtype)

    def initialise(self, y: tf.Tensor, condition: tf.Tensor | None) -> tf.Tensor:
        """Scale all dimensions by the root mean square of y, at least 1e-4; one batch is too few for one each."""
        size = tf.sqrt(tf.reduce_mean(y**2))
        self.log_scale.assign(tf.fill(self.event_shape, tf.math.log(tf.maximum(size, tf.cast(1e-4, y.dtype)))))
        return super().initialise(y, condition)
