r"""Non-causal dilated convolution over time, by the implementation that was measured to be the faster one.

With taps :math:`i = -\lfloor K/2 \rfloor \dots \lfloor K/2 \rfloor`, dilation d and zeros beyond
the ends, :math:`y_t = b + \sum_i x_{t + d\,i} W_i`, computed as

* *taps*: the K shifted copies of x, concatenated, times one matrix;
* *convolution*: TensorFlow's own operation (oneDNN on CPUs, cuDNN on GPUs).

Both give the same numbers up to rounding. Which is faster depends on the device, on the dtype, on
the channels and on the trace context (``tfsep.runtime.trace_context``): in a graph, in a program
compiled by XLA or in a loop of such a program, where the gradient of a convolution is slow.
``python -m benchmarks.speed.convolutions`` measures all of these on the machine at hand and writes
``dilated_kernels.json`` beside this file, which :func:`fastest` reads. Its rows of a GPU are those
of portable XLA programs, timed without TensorFlow (benchmarks/speed/portable). Stacked priors have
a kernel each, which the operation cannot take. Where nothing was measured (another device, float64,
stacked priors), taps are used, which run everywhere.
"""

from __future__ import annotations

import functools
import json
import math
from pathlib import Path
from typing import TypedDict, Unpack

import keras
import tensorflow as tf

from tfsep.networks.layer_arguments import LayerArguments
from tfsep.runtime import trace_context

TAPS, CONVOLUTION = IMPLEMENTATIONS = ("taps", "convolution")
TABLE = Path(__file__).with_name("dilated_kernels.json")


class Measured(TypedDict):
    """A row of the table.

    Attributes:
        device: "CPU", "CPU without oneDNN" or "GPU".
        context: the trace context, one of :data:`tfsep.runtime.trace_context.CONTEXTS`.
        dtype: such as "float32".
        in_channels: of the features in.
        out_channels: of the features out.
        ms: milliseconds by implementation.
    """

    device: str
    context: str
    dtype: str
    in_channels: int
    out_channels: int
    ms: dict[str, float]


@functools.cache
def measured() -> list[Measured]:
    """Return the rows of the table."""
    found: list[Measured] = json.loads(TABLE.read_text(encoding="utf-8"))
    return found


@functools.cache
def device() -> str:
    """Return the table's name of the device that layers run on."""
    if tf.config.list_physical_devices("GPU"):
        return "GPU"
    try:
        with tf.init_scope():  # in which tapes record nothing, so the gradient is called by its name
            tf.raw_ops.Conv2DBackpropInput(
                input_sizes=[1, 1, 8, 1],
                filter=tf.zeros((1, 3, 1, 1)),
                out_backprop=tf.zeros((1, 1, 8, 1)),
                strides=[1, 1, 1, 1],
                padding="SAME",
                dilations=[1, 1, 2, 1],
            )
    except (tf.errors.UnimplementedError, tf.errors.InvalidArgumentError):
        return "CPU without oneDNN"  # whose kernels have no gradient of a dilated convolution
    return "CPU"


def fastest(context: str, dtype: str, in_channels: int, out_channels: int) -> str:
    """Return the implementation that was measured to be the fastest for such a convolution.

    Args:
        context: the trace context, one of :data:`tfsep.runtime.trace_context.CONTEXTS`.
        dtype: of the products, such as "float32".
        in_channels: of the features in.
        out_channels: of the features out.

    Returns:
        The one whose time is least in the row of this context, dtype and target device whose
        channels are nearest on a log scale; "taps" where there is no such row.
    """
    here = (trace_context.target_device() or device(), context, dtype)
    rows = [row for row in measured() if (row["device"], row["context"], row["dtype"]) == here]
    if not rows:
        return TAPS

    def distance(row: Measured) -> float:
        return abs(math.log(row["in_channels"] / in_channels)) + abs(math.log(row["out_channels"] / out_channels))

    times = min(rows, key=distance)["ms"]
    return min(times, key=lambda name: times[name])


@keras.saving.register_keras_serializable("tfsep")
class DilatedConv(keras.layers.Layer):
    """Non-causal dilated convolution, (batch, time, in_channels) -> (batch, time, out_channels); see the module's text.

    Args:
        in_channels, out_channels: of the features in and out.
        kernel_size: taps, an odd number.
        dilation: samples from one tap to the next.
        implementation: "taps" or "convolution"; None is the faster one in the context in which the
            layer is traced, by the table.

    Raises:
        ValueError: for an even kernel, or another implementation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        dilation: int,
        implementation: str | None = None,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        """Build the weights."""
        super().__init__(**kwargs)
        self.built = True
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd for a non-causal convolution, got {kernel_size}")
        if implementation not in (None, *IMPLEMENTATIONS):
            given = f"{TAPS!r} or {CONVOLUTION!r}, got {implementation!r}"
            raise ValueError(f"implementation must be None, {given}")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.dilation, self.implementation = kernel_size, dilation, implementation
        self.dense = keras.layers.Dense(out_channels, dtype=self.dtype_policy)
        self.dense.build((None, None, in_channels * kernel_size))

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Convolve; the ends are padded with zeros."""
        if self.kernel_size == 1:
            return tf.cast(self._product(x), self.variable_dtype)
        context, chosen = trace_context.current(), self.implementation
        chosen = chosen or fastest(context, x.dtype.name, self.in_channels, self.out_channels)
        return tf.cast(self._convolution(x) if chosen == CONVOLUTION else self._taps(x), self.variable_dtype)

    def _parameters(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return kernel (tap * in, out) and bias (out,), of the dtype of x."""
        kernel, bias = self.dense.kernel, self.dense.bias
        return tf.cast(tf.convert_to_tensor(kernel), x.dtype), tf.cast(tf.convert_to_tensor(bias), x.dtype)

    def _convolution(self, x: tf.Tensor) -> tf.Tensor:
        kernel, bias = self._parameters(x)
        kernel = tf.reshape(kernel, (1, self.kernel_size, self.in_channels, self.out_channels))
        y = tf.nn.conv2d(tf.expand_dims(x, 1), kernel, 1, "SAME", dilations=(1, self.dilation))
        return tf.squeeze(tf.nn.bias_add(y, bias), 1)

    def _taps(self, x: tf.Tensor) -> tf.Tensor:
        reach = (self.kernel_size // 2) * self.dilation
        padded = tf.pad(x, [[0, 0], [reach, reach], [0, 0]])
        time = tf.shape(x)[1] if x.shape[1] is None else x.shape[1]
        taps = [padded[:, i * self.dilation : i * self.dilation + time] for i in range(self.kernel_size)]
        return self._product(tf.concat(taps, axis=-1))

    def _product(self, x: tf.Tensor) -> tf.Tensor:
        kernel, bias = self._parameters(x)
        y = tf.nn.bias_add(tf.matmul(tf.reshape(x, (-1, kernel.shape[0])), kernel), bias)
        return tf.reshape(y, tf.concat([tf.shape(x)[:-1], kernel.shape[1:]], 0))

    def get_config(self) -> dict[str, object]:
        """Return the constructor's arguments."""
        own = ("in_channels", "out_channels", "kernel_size", "dilation", "implementation")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}
