r"""Gated 2-D convolutions for spectrograms, with the last layer zero when initialised.

Each layer is :math:`h \leftarrow h + P\,[\tanh(u_a) \odot \mathrm{sigmoid}(u_b)]` with
:math:`u = W \ast h + V c`, a k x k convolution W, a condition vector c and a pointwise P; the
output is a linear map of SiLU(h), as in the couplings of Glow (Kingma and Dhariwal 2018, section 4)
with gates in place of plain rectifiers. Under a mixed policy products are computed in the lower
precision, gates and sums in the higher one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import keras
import tensorflow as tf

from tfsep.networks.layer_arguments import LayerArguments
from tfsep.networks.modulation import Modulation


@keras.saving.register_keras_serializable("tfsep")
class GatedConv(keras.layers.Layer):
    """Map (batch, frame, bin, in_channels) to (batch, frame, bin, out_channels).

    Args:
        in_channels, out_channels: of the features in and out.
        width: hidden channels.
        num_layers: gated layers.
        kernel_size: extent of each convolution in frames and bins, one for both or two.
        condition_width: size of the condition vector, 0 for none.
        conditioning: "additive", "film" or "affine", see modulation.py; the formula above is the
            additive one.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        width: int = 32,
        num_layers: int = 2,
        kernel_size: int | Sequence[int] = 3,
        condition_width: int = 0,
        conditioning: str = "additive",
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        """Build the weights."""
        super().__init__(**kwargs)
        self.built = True
        self._settings = {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "width": width,
            "num_layers": num_layers,
            "kernel_size": kernel_size if isinstance(kernel_size, int) else tuple(kernel_size),
            "condition_width": condition_width,
            "conditioning": conditioning,
        }
        policy = self.dtype_policy
        self.first = keras.layers.Dense(width, dtype=policy)
        self.first.build((None, None, None, in_channels))
        layers = range(num_layers)
        kernel = self._settings["kernel_size"]
        self.gated = [keras.layers.Conv2D(2 * width, kernel, padding="same", dtype=policy) for _ in layers]
        self.outlets = [keras.layers.Dense(width, dtype=policy) for _ in layers]
        self.conditions = []
        if condition_width:
            own = {"conditioning": conditioning, "dtype": self.variable_dtype}
            self.conditions = [Modulation(condition_width, 2 * width, **own) for _ in layers]
        for layer in (*self.gated, *self.outlets):
            layer.build((None, None, None, width))
        self.last = keras.layers.Dense(out_channels, kernel_initializer="zeros", dtype=policy)
        self.last.build((None, None, None, width))

    def call(self, x: tf.Tensor, condition: tf.Tensor | None = None) -> tf.Tensor:
        """Apply the network; ``condition`` is (batch, condition_width)."""
        hidden = tf.cast(self.first(x), self.variable_dtype)
        for index, (gated, outlet) in enumerate(zip(self.gated, self.outlets, strict=True)):
            both = tf.cast(gated(hidden), self.variable_dtype)
            if condition is not None and self.conditions:
                both = self.conditions[index](both, condition)
            signal, gate = tf.split(both, 2, axis=-1)
            hidden += tf.cast(outlet(tf.tanh(signal) * tf.sigmoid(gate)), self.variable_dtype)
        return self.last(tf.nn.silu(hidden))

    def get_config(self) -> dict[str, object]:
        """Return the constructor's arguments."""
        return {**super().get_config(), **self._settings}
