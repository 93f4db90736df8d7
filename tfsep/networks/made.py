r"""Masked network (MADE): output i depends on the inputs before i alone, and on a condition.

Every unit has a degree. Input i has degree i (1 to D), hidden units take 0 to D - 1 in turn, output
i has i. A weight between hidden layers, or from the inputs, stands where the degree does not fall;
one to an output where it rises. A hidden unit of degree 0 sees no input, only the condition, and so
the first output can depend on that.

Source: Germain et al. 2015, sections 3 and 4, equations 8 to 10; the degree 0 is for conditions.
"""

from __future__ import annotations

from typing import Unpack

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfsep.networks.layer_arguments import LayerArguments
from tfsep.networks.modulation import Modulation


@keras.saving.register_keras_serializable("tfsep")
class MaskedDense(keras.layers.Layer):
    """Dense layer with a fixed mask (in, out) of zeros and ones on its kernel."""

    def __init__(
        self, mask: npt.ArrayLike, kernel_initializer: str = "glorot_uniform", **kwargs: Unpack[LayerArguments]
    ) -> None:
        """Build the weights."""
        super().__init__(**kwargs)
        self.kernel_initializer = kernel_initializer
        self.mask = np.asarray(mask, self.dtype_policy.variable_dtype)
        self.kernel = self.add_weight(shape=self.mask.shape, initializer=kernel_initializer, name="kernel")
        self.bias = self.add_weight(shape=self.mask.shape[1:], initializer="zeros", name="bias")
        self.built = True

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Map features (batch, in) to (batch, out)."""
        return tf.matmul(x, tf.convert_to_tensor(self.kernel) * self.mask) + tf.convert_to_tensor(self.bias)

    def get_config(self) -> dict[str, object]:
        """Return the constructor's arguments."""
        own = {"mask": self.mask.tolist(), "kernel_initializer": self.kernel_initializer}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("tfsep")
class Made(keras.layers.Layer):
    """Map (batch, D) to (batch, D, num_parameters), zero when initialised.

    Args:
        num_dimensions: D, at least 1.
        num_parameters: numbers per dimension, 2 for a shift and a log-scale.
        width: units of a hidden layer, at least D so that every degree has one.
        num_layers: hidden layers, at least 1.
        condition_width: size of the condition vector, 0 for none.
        conditioning: "additive", "film" or "affine", see modulation.py.

    Raises:
        ValueError: for a width below D, or no layer.
    """

    def __init__(
        self,
        num_dimensions: int,
        num_parameters: int = 2,
        width: int = 64,
        num_layers: int = 2,
        condition_width: int = 0,
        conditioning: str = "additive",
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        """Build the weights."""
        super().__init__(**kwargs)
        if not 1 <= num_dimensions <= width:
            raise ValueError(f"width must be at least the {num_dimensions} dimensions, one unit a degree, got {width}")
        if num_layers < 1:
            raise ValueError(f"num_layers must be at least 1, got {num_layers}")
        self._settings = {
            "num_dimensions": num_dimensions,
            "num_parameters": num_parameters,
            "width": width,
            "num_layers": num_layers,
            "condition_width": condition_width,
            "conditioning": conditioning,
        }
        policy = self.dtype_policy
        inputs, hidden = np.arange(1, num_dimensions + 1), np.arange(width) % num_dimensions
        degrees = [inputs] + num_layers * [hidden]
        self.hidden = [
            MaskedDense(before[:, np.newaxis] <= after, dtype=policy)
            for before, after in zip(degrees[:-1], degrees[1:], strict=True)
        ]
        self.conditions = []
        if condition_width:
            self.conditions = [Modulation(condition_width, width, conditioning, dtype=policy) for _ in self.hidden]
        outputs = hidden[:, np.newaxis] < np.repeat(inputs, num_parameters)
        self.last = MaskedDense(outputs, "zeros", dtype=policy)

    def call(self, x: tf.Tensor, condition: tf.Tensor | None = None) -> tf.Tensor:
        """Apply the network; ``condition`` is (batch, condition_width)."""
        for index, layer in enumerate(self.hidden):
            x = layer(x)
            if condition is not None and self.conditions:
                x = self.conditions[index](x, condition)
            x = tf.nn.silu(x)
        return tf.reshape(self.last(x), [-1, self._settings["num_dimensions"], self._settings["num_parameters"]])

    def get_config(self) -> dict[str, object]:
        """Return the constructor's arguments."""
        return {**super().get_config(), **self._settings}
