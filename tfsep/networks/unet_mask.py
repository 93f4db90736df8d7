r"""A U-Net over time and frequency: one network that proposes the masks of all sources.

Bins are taken in patches of a few neighbours, which become the channels of a band. Encoder and
decoder have a block at each scale, halved in time and frequency from one to the next:

* normalise, rectify, 3 x 3 convolution;
* plus a dense bottleneck along frequency, which sees all bands of a frame and each channel alike;
* normalise, rectify, 3 x 3 convolution, plus what came in.

A decoder's block begins with the sum of what comes from below and what the encoder had at that
scale. The last layer reads the features and the input. Low frequencies may also be read through a
longer window, whose bins enter the lowest bands.

Sources: Choi et al., "Investigating U-Nets with various intermediate blocks for spectrogram-based
singing voice separation", 2020 (blocks of convolutions and dense layers along frequency); Kim et
al., "KUIELab-MDX-Net", 2021; Wu and He, "Group normalization", 2018, equations (1) to (6).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Unpack

import keras
import tensorflow as tf

from tfsep.errors import InputError
from tfsep.networks.layer_arguments import LayerArguments

_BOTTLENECK = 8
_GROUP = 8
_EPSILON = 1e-5


@keras.saving.register_keras_serializable("tfsep")
class UNetMask(keras.layers.Layer):
    """Map (batch, frame, bin) to (batch, source, frame, bin + 1): a mask logit per bin and, last, a log-spread.

    Args:
        num_bins: of the frames that it reads, 0 Hz and half the sample rate included.
        num_sources: of the masks.
        widths: channels at each scale, from the finest to the coarsest.
        patch: neighbouring bins of a band. The bands, ``(num_bins - 1) / patch``, must halve at
            each scale.
        low_length: samples of the longer window for low frequencies, 0 for none.
        low_bins: lowest bins of the longer window that are read; 0 for none.
        low_bands: lowest bands that these enter.
        kwargs: of the Keras layer.

    Raises:
        InputError: for sizes that do not divide each other, naming the rule.
    """

    def __init__(
        self,
        num_bins: int,
        num_sources: int,
        widths: Sequence[int] = (24, 48, 72),
        patch: int = 4,
        low_length: int = 8192,
        low_bins: int = 160,
        low_bands: int = 8,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        """Build the weights."""
        super().__init__(**kwargs)
        self._settings: dict[str, Any] = {
            "num_bins": num_bins,
            "num_sources": num_sources,
            "widths": tuple(widths),
            "patch": patch,
            "low_length": low_length,
            "low_bins": low_bins,
            "low_bands": low_bands,
        }
        self.low_length, self.low_bins = (low_length, low_bins) if low_length and low_bins else (0, 0)
        self.num_bins, self.num_sources, self.patch = num_bins, num_sources, patch
        self.num_bands = _checked(num_bins, widths, patch, self.low_bins, low_bands)
        self.stride = 2 ** (len(widths) - 1)
        self.low_bands = low_bands
        policy = self.dtype_policy
        bands = [self.num_bands // 2**scale for scale in range(len(widths))]
        self.first = _conv(patch, widths[0], 3, policy)
        self.position = self.add_weight(
            shape=(1, 1, self.num_bands, widths[0]), initializer=keras.initializers.RandomNormal(stddev=0.02)
        )
        self.low = _conv(self.low_bins // low_bands, widths[0], 1, policy) if self.low_bins else None
        self.down_blocks = [ScaleBlock(width, count, dtype=policy) for width, count in zip(widths, bands, strict=True)]
        self.up_blocks = [
            ScaleBlock(width, count, dtype=policy) for width, count in list(zip(widths, bands, strict=True))[-2::-1]
        ]
        pairs = list(zip(widths[:-1], widths[1:], strict=True))
        self.down = [_conv(fine, coarse, 2, policy, stride=2) for fine, coarse in pairs]
        self.up = [_conv(coarse, 4 * fine, 1, policy) for fine, coarse in pairs[::-1]]
        small = keras.initializers.VarianceScaling(0.1)
        self.norm = GroupNorm(widths[0], dtype=policy)
        self.last = _conv(widths[0] + patch, num_sources * patch, 1, policy, kernel_initializer=small)
        self.spread = keras.layers.Dense(num_sources, kernel_initializer=small, dtype=policy)
        self.spread.build((None, None, widths[0]))

    def call(self, x: tf.Tensor, low: tf.Tensor | None = None) -> tf.Tensor:
        """Propose logits.

        Args:
            x: (batch, frame, num_bins).
            low: (batch, frame, low_bins), where the network reads a longer window.

        Returns:
            (batch, source, frame, num_bins + 1).
        """
        frames = tf.shape(x)[1]
        more = -frames % self.stride
        bands = self._in_bands(x[..., : self.num_bins - 1], self.num_bands, more)
        hidden = self.first(bands) + tf.cast(self.position, bands.dtype)
        if self.low is not None:
            low = self.low(self._in_bands(low, self.low_bands, more))
            hidden += tf.pad(low, [[0, 0], [0, 0], [0, self.num_bands - self.low_bands], [0, 0]])
        kept = []
        for index, block in enumerate(self.down_blocks):
            hidden = block(hidden)
            if index < len(self.down):
                kept.append(hidden)
                hidden = self.down[index](hidden)
        for up, block in zip(self.up, self.up_blocks, strict=True):
            hidden = block(tf.nn.depth_to_space(up(hidden), 2) + kept.pop())
        hidden = tf.nn.relu(self.norm(hidden))
        logits = self.last(tf.concat([hidden, bands], axis=-1))[:, :frames]
        spread = self.spread(tf.reduce_mean(hidden, axis=2))[:, :frames]
        return self._as_masks(logits, spread)

    def _in_bands(self, x: tf.Tensor, num_bands: int, more: tf.Tensor) -> tf.Tensor:
        """Turn (batch, frame, bin) into (batch, frame + more, band, bins of a band)."""
        padded = tf.pad(x, [[0, 0], [0, more], [0, 0]])
        shape = tf.shape(padded)
        return tf.reshape(padded, [shape[0], shape[1], num_bands, x.shape[-1] // num_bands])

    def _as_masks(self, logits: tf.Tensor, spread: tf.Tensor) -> tf.Tensor:
        """Turn (batch, frame, band, source times patch) and (batch, frame, source) into what :meth:`call` returns."""
        shape = tf.shape(logits)
        each = tf.reshape(logits, [shape[0], shape[1], self.num_bands, self.num_sources, self.patch])
        each = tf.reshape(
            tf.transpose(each, [0, 3, 1, 2, 4]), [shape[0], self.num_sources, shape[1], self.num_bins - 1]
        )
        column = tf.transpose(spread, [0, 2, 1])[..., tf.newaxis]
        return tf.concat([each, each[..., -1:], column], axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), **self._settings}


class ScaleBlock(keras.layers.Layer):
    """Two convolutions with a dense bottleneck along frequency between them: (batch, frame, band, width), kept.

    Args:
        width: channels.
        num_bands: bands at this scale.
        kwargs: of the Keras layer.
    """

    def __init__(self, width: int, num_bands: int, **kwargs: Unpack[LayerArguments]) -> None:
        """Build the weights; the last convolution starts at zero, so that the block starts as the identity."""
        super().__init__(**kwargs)
        policy = self.dtype_policy
        self.num_bands, self.width = num_bands, width
        self.norms = [GroupNorm(width, dtype=policy) for _ in range(3)]
        self.convs = [_conv(width, width, 3, policy), _conv(width, width, 3, policy, kernel_initializer="zeros")]
        narrow = max(num_bands // _BOTTLENECK, 4)
        self.narrow, self.wide = (keras.layers.Dense(count, dtype=policy) for count in (narrow, num_bands))
        self.narrow.build((None, None, None, num_bands))
        self.wide.build((None, None, None, narrow))

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Map (batch, frame, band, width) to the same shape."""
        hidden = self.convs[0](tf.nn.relu(self.norms[0](x)))
        along = tf.transpose(tf.nn.relu(self.norms[1](hidden)), [0, 1, 3, 2])
        hidden += tf.transpose(self.wide(tf.nn.relu(self.narrow(along))), [0, 1, 3, 2])
        return x + self.convs[1](tf.nn.relu(self.norms[2](hidden)))


class GroupNorm(keras.layers.Layer):
    """Map (batch, frame, band, width) to the same shape, each group of channels with its mean and variance removed.

    Wu and He 2018, equations (1) to (6), with groups of eight channels, or all where eight do not
    divide them. Means are in float32 at least.

    Args:
        width: channels.
        kwargs: of the Keras layer.
    """

    def __init__(self, width: int, **kwargs: Unpack[LayerArguments]) -> None:
        """Build the weights."""
        super().__init__(**kwargs)
        self.groups = width // _GROUP if width % _GROUP == 0 else 1
        self.gamma = self.add_weight(shape=(width,), initializer="ones")
        self.beta = self.add_weight(shape=(width,), initializer="zeros")

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Normalise (batch, frame, band, width)."""
        exact = tf.cast(x, keras.backend.result_type(x.dtype, "float32"))
        first = self._over_groups(tf.reduce_mean(exact, axis=(1, 2)))
        second = self._over_groups(tf.reduce_mean(tf.square(exact), axis=(1, 2)))
        gain = tf.math.rsqrt(tf.maximum(second - first**2, 0.0) + _EPSILON) * tf.cast(self.gamma, exact.dtype)
        shift = tf.cast(self.beta, exact.dtype) - first * gain
        return x * _spread(gain, x.dtype) + _spread(shift, x.dtype)

    def _over_groups(self, each: tf.Tensor) -> tf.Tensor:
        """Average (batch, width) over the channels of each group, in the place of each."""
        width = each.shape[-1]
        means = tf.reduce_mean(tf.reshape(each, [-1, self.groups, width // self.groups]), axis=-1)
        return tf.repeat(means, width // self.groups, axis=-1)


def _spread(each: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Turn (batch, width) into (batch, 1, 1, width)."""
    return tf.cast(each, dtype)[:, tf.newaxis, tf.newaxis]


def _conv(
    in_channels: int, out_channels: int, size: int, policy: Any, stride: int = 1, **settings: Any
) -> keras.layers.Conv2D:
    """Return a convolution over frames and bands with its weights."""
    layer = keras.layers.Conv2D(out_channels, size, strides=stride, padding="same", dtype=policy, **settings)
    layer.build((None, None, None, in_channels))
    return layer


def _checked(num_bins: int, widths: Sequence[int], patch: int, low_bins: int, low_bands: int) -> int:
    """Return the number of bands.

    Raises:
        InputError: for sizes that do not divide each other.
    """
    if not widths or min(widths) < 1 or patch < 1:
        raise InputError(f"widths and patch must be at least 1, got {tuple(widths)} and {patch}")
    halved = patch * 2 ** (len(widths) - 1)
    if (num_bins - 1) % halved:
        raise InputError(f"patch and {len(widths)} widths need a multiple of {halved} bins, got {num_bins - 1}")
    bands = math.floor((num_bins - 1) / patch)
    if low_bins and (low_bins % low_bands or low_bands > bands):
        raise InputError(f"low_bands must divide low_bins and be at most {bands}, got {low_bands} and {low_bins}")
    return bands
