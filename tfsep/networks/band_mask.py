r"""Masks by bands of growing width: each has dense layers of its own, and blocks mix over time and over bands.

A band becomes a vector of features. A block adds a dilated convolution over frames, the same in all
bands, then a dense bottleneck over bands, the same for all features. Every band has its own layer
out, which gives the masks of all sources.

Source: Luo and Yu, "Music source separation with band-split RNN", 2023 (bands and the two kinds of
mixing; convolutions and dense layers stand for its recurrent networks).
"""

from __future__ import annotations

from typing import Any, Unpack

import keras
import numpy as np
import tensorflow as tf

from tfsep.errors import InputError
from tfsep.networks.layer_arguments import LayerArguments
from tfsep.networks.unet_mask import GroupNorm


@keras.saving.register_keras_serializable("tfsep")
class BandMask(keras.layers.Layer):
    """Map (batch, frame, bin) to (batch, source, frame, bin + 1): a mask logit per bin and, last, a log-spread.

    Args:
        num_bins: of the frames that it reads.
        num_sources: of the masks.
        num_bands: how many; widths grow in proportion to the frequency, above a few bins.
        width: features of a band.
        num_blocks: blocks.
        dilation_cycle: dilations 1, 2, 4, ... frames repeat every so many blocks.
        kwargs: of the Keras layer.

    Raises:
        InputError: for more bands than bins.
    """

    def __init__(
        self,
        num_bins: int,
        num_sources: int,
        num_bands: int = 32,
        width: int = 64,
        num_blocks: int = 6,
        dilation_cycle: int = 4,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        """Build the weights."""
        super().__init__(**kwargs)
        if not 1 <= num_bands <= num_bins:
            raise InputError(f"num_bands must lie in 1..{num_bins}, the bins, got {num_bands}")
        self._settings: dict[str, Any] = {
            "num_bins": num_bins,
            "num_sources": num_sources,
            "num_bands": num_bands,
            "width": width,
            "num_blocks": num_blocks,
            "dilation_cycle": dilation_cycle,
        }
        self.num_bins, self.num_sources, self.num_bands = num_bins, num_sources, num_bands
        policy = self.dtype_policy
        self.index, self.inside = band_table(num_bins, num_bands)
        largest = self.index.shape[1]
        self.split = self._weight((num_bands, largest, width), 1.0 / np.sqrt(largest))
        self.merge = self._weight((num_bands, width, largest * num_sources), 0.1 / np.sqrt(width))
        self.position = self._weight((num_bands, width), 0.02)
        blocks = range(num_blocks)
        self.norms = [GroupNorm(width, dtype=policy) for _ in range(2 * num_blocks + 1)]
        self.over_time = [
            keras.layers.Conv2D(
                width, (3, 1), padding="same", dilation_rate=(2 ** (index % dilation_cycle), 1), dtype=policy
            )
            for index in blocks
        ]
        self.within = [keras.layers.Dense(width, dtype=policy, kernel_initializer="zeros") for _ in blocks]
        self.narrow = [keras.layers.Dense(2 * num_bands, dtype=policy) for _ in blocks]
        self.wide = [keras.layers.Dense(num_bands, dtype=policy, kernel_initializer="zeros") for _ in blocks]
        for conv, within, narrow, wide in zip(self.over_time, self.within, self.narrow, self.wide, strict=True):
            conv.build((None, None, num_bands, width))
            within.build((None, None, None, width))
            narrow.build((None, None, None, num_bands))
            wide.build((None, None, None, 2 * num_bands))
        small = keras.initializers.VarianceScaling(0.1)
        self.spread = keras.layers.Dense(num_sources, kernel_initializer=small, dtype=policy)
        self.spread.build((None, None, width))

    def _weight(self, shape: tuple[int, ...], deviation: float) -> keras.Variable:
        """Return normal weights."""
        return self.add_weight(shape=shape, initializer=keras.initializers.RandomNormal(stddev=float(deviation)))

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Propose logits; the last entry of each frame is a log-spread."""
        bands = tf.gather(x, self.index, axis=-1) * tf.cast(self.inside, x.dtype)
        hidden = tf.einsum("btkw,kwc->btkc", bands, tf.cast(self.split, x.dtype)) + tf.cast(self.position, x.dtype)
        layers = zip(self.over_time, self.within, self.narrow, self.wide, strict=True)
        for number, (conv, within, narrow, wide) in enumerate(layers):
            hidden += within(tf.nn.relu(conv(self.norms[2 * number](hidden))))
            along = tf.transpose(self.norms[2 * number + 1](hidden), [0, 1, 3, 2])
            hidden += tf.transpose(wide(tf.nn.relu(narrow(along))), [0, 1, 3, 2])
        hidden = tf.nn.relu(self.norms[-1](hidden))
        each = tf.einsum("btkc,kcw->btkw", hidden, tf.cast(self.merge, x.dtype))
        shape = tf.shape(each)
        each = tf.reshape(each, [shape[0], shape[1], -1, self.num_sources])
        # Places of the padded bands that are no bins are left out: (batch, frame, bin, source) remain.
        each = tf.gather(each, np.flatnonzero(self.inside), axis=2)
        column = self.spread(tf.reduce_mean(hidden, axis=2))[:, :, tf.newaxis]
        return tf.transpose(tf.concat([each, column], axis=2), [0, 3, 1, 2])

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), **self._settings}


def band_table(num_bins: int, num_bands: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the bins of each band, (band, largest width), and which entries are bins and no padding.

    Bands lie side by side and hold every bin once. The lowest hold a few bins each, the others a
    constant share of an octave.
    """
    knee = max(num_bins / 64.0, 1.0)
    edges = knee * ((num_bins / knee + 1.0) ** (np.arange(num_bands + 1) / num_bands) - 1.0)
    edges = np.maximum(np.round(edges).astype(int), np.arange(num_bands + 1))
    edges[-1] = num_bins
    for band in range(num_bands, 0, -1):
        edges[band - 1] = min(edges[band - 1], edges[band] - 1)
    widths = np.diff(edges)
    places = np.arange(widths.max())
    inside = places < widths[:, np.newaxis]
    return np.where(inside, edges[:-1, np.newaxis] + places, 0), inside
