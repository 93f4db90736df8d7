r"""Non-causal WaveNet: dilated, gated convolutions with residual and skip connections.

Layer i of input h (batch, time, width), with kernel K and dilation :math:`d_i = D^{\,i \bmod C}`:

.. math:: u = W_i \ast_{d_i} h + V_i c, \qquad g = \tanh(u_a) \odot \mathrm{sigmoid}(u_b),
          \qquad (r, o) = R_i g, \qquad h \leftarrow h + r, \quad skip \leftarrow skip + o.

The output is a linear map of SiLU(skip), zero when initialised, so a coupling built on it starts as
the identity. How a convolution is computed is chosen where it is traced (dilated.py). Padding is by
zeros. Under a mixed policy products are computed in the lower precision, gates and sums in the
higher one, which is also the faster way on CPUs.

Sources: van den Oord et al. 2016, section 2; Kim et al. 2019 (FloWaveNet), section 3.2, for the
non-causal form.
"""

from __future__ import annotations

from typing import Unpack

import keras
import tensorflow as tf

from tfsep.networks.dilated import DilatedConv
from tfsep.networks.layer_arguments import LayerArguments
from tfsep.networks.modulation import Modulation


@keras.saving.register_keras_serializable("tfsep")
class WaveNet(keras.layers.Layer):
    """Stack of gated dilated convolutions.

    Args:
        in_channels, out_channels: of the features in and out.
        width: channels of the residual and skip paths.
        num_layers: number of gated layers.
        kernel_size: odd.
        dilation_base: the dilation of layer i is ``dilation_base ** (i % dilation_cycle)``.
        dilation_cycle: layers after which the dilation starts again from 1.
        condition_width: size of the condition vector, 0 for none.
        conditioning: "additive", "film" or "affine", see modulation.py; the formula above is the
            additive one.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        width: int = 48,
        num_layers: int = 6,
        kernel_size: int = 3,
        dilation_base: int = 2,
        dilation_cycle: int = 6,
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
            "kernel_size": kernel_size,
            "dilation_base": dilation_base,
            "dilation_cycle": dilation_cycle,
            "condition_width": condition_width,
            "conditioning": conditioning,
        }
        policy = self.dtype_policy
        self.width = width
        self.first = DilatedConv(in_channels, width, 1, 1, dtype=policy)
        dilations = [dilation_base ** (layer % dilation_cycle) for layer in range(num_layers)]
        self.gated = [DilatedConv(width, 2 * width, kernel_size, dilation, dtype=policy) for dilation in dilations]
        self.outlets = [DilatedConv(width, 2 * width, 1, 1, dtype=policy) for _ in dilations]
        self.conditions = []
        if condition_width:
            own = {"conditioning": conditioning, "dtype": self.variable_dtype}
            self.conditions = [Modulation(condition_width, 2 * width, **own) for _ in dilations]
        self.last = keras.layers.Dense(out_channels, kernel_initializer="zeros", dtype=policy)
        self.last.build((None, None, width))

    def call(self, x: tf.Tensor, condition: tf.Tensor | None = None) -> tf.Tensor:
        """Map features (batch, time, in_channels), under (batch, condition_width), to (batch, time, out_channels)."""
        hidden = self.first(x)
        skip = tf.zeros_like(hidden)
        for index, (gated, outlet) in enumerate(zip(self.gated, self.outlets, strict=True)):
            both = gated(hidden)
            if condition is not None and self.conditions:
                both = self.conditions[index](both, condition)
            signal, gate = tf.split(both, 2, axis=-1)
            residual, out = tf.split(outlet(tf.tanh(signal) * tf.sigmoid(gate)), 2, axis=-1)
            hidden += residual
            skip += out
        return self.last(tf.nn.silu(skip))

    def get_config(self) -> dict[str, object]:
        """Return the constructor's arguments."""
        return {**super().get_config(), **self._settings}
