r"""Predicts complex bins from the bins between them: real weights of the nearest ones, and how far to trust them.

With :math:`u_b = |X_b|^2 / 2 \sigma^2`, which has mean 1 for noise, and w the same of the given bins
sharpened by a Hann window (each less half of the mean of its two neighbours), the features are
:math:`\log(1 + u)` and :math:`\log(1 + (w / 4)^2)`; noise alone hardly moves the second. A residual
perceptron reads the features of all bins at once, since partials far apart belong together, and
leaves a few numbers for every place. A second perceptron, the same at every place, joins them with
the features of the nearest bins, and with further features of the place where the caller has some,
and gives the weights and a log-ratio. Of the bins the network sees magnitudes only, so turning all
phases of the input turns its predictions. All outputs are zero when initialised.
"""

from __future__ import annotations

from typing import Unpack

import keras
import tensorflow as tf

from tfsep.networks.layer_arguments import LayerArguments
from tfsep.networks.layer_normalization import LayerNormalization
from tfsep.networks.perceptron import ResidualBlocks

_SCALE = 0.25
# Noise alone stays below it, so that its own fluctuations do not drown the partials.
_LOUD = 4.0


@keras.saving.register_keras_serializable("tfsep")
class SpectralPredictor(keras.layers.Layer):
    """Map given bins (batch, bin, 2) to weights (batch, bin, weight) and log-ratios (batch, bin).

    Args:
        num_bins: given bins, at least 2, and as many that are predicted.
        num_neighbours: nearest given bins in the weighted sum, at least 1.
        width: hidden units of the perceptron over all bins; its blocks widen to twice as many.
        num_blocks: residual blocks of the perceptron.
        context: numbers that it leaves for every place, at least 1.
        local_width: hidden units of the perceptron at every place, at least 1.
        condition_width: size of the condition vector, at least 1.
        num_features: further features of every place, at least 0.

    Raises:
        ValueError: for a size below its smallest.
    """

    def __init__(
        self,
        num_bins: int,
        num_neighbours: int = 6,
        width: int = 160,
        num_blocks: int = 2,
        context: int = 4,
        local_width: int = 32,
        condition_width: int = 32,
        num_features: int = 0,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        """Build the weights."""
        super().__init__(**kwargs)
        self.built = True
        self._settings = {
            "num_bins": num_bins,
            "num_neighbours": num_neighbours,
            "width": width,
            "num_blocks": num_blocks,
            "context": context,
            "local_width": local_width,
            "condition_width": condition_width,
            "num_features": num_features,
        }
        if num_bins < 2:
            raise ValueError(f"a spectral predictor needs at least 2 given bins, got {num_bins}")
        for name in ("num_neighbours", "context", "local_width", "condition_width"):
            if self._settings[name] < 1:
                raise ValueError(f"{name} of a spectral predictor must be at least 1, got {self._settings[name]}")
        if num_features < 0:
            raise ValueError(f"num_features of a spectral predictor must be at least 0, got {num_features}")
        policy, dense = self.dtype_policy, keras.layers.Dense
        self.num_bins, self.num_neighbours, self.context = num_bins, num_neighbours, context
        self.first = dense(width, dtype=policy)
        self.first.build((None, 2 * num_bins))
        self.blocks = ResidualBlocks(width, num_blocks, condition_width, "affine", dtype=policy)
        self.norm = LayerNormalization(dtype=policy)
        self.norm.build((None, width))
        self.places = dense(num_bins * context, dtype=policy)
        self.places.build((None, width))
        self.join = dense(local_width, dtype=policy)
        self.join.build((None, context + 2 * num_neighbours + num_features))
        self.join_condition = dense(local_width, use_bias=False, dtype=policy)
        self.join_condition.build((None, condition_width))
        self.last = dense(num_neighbours + 1, kernel_initializer="zeros", dtype=policy)
        self.last.build((None, local_width))

    def call(
        self,
        given: tf.Tensor,
        sigma: tf.Tensor,
        condition: tf.Tensor,
        first: int = 0,
        features: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Predict.

        Args:
            given: (batch, bin, 2).
            sigma: noise levels, (batch,).
            condition: (batch, width).
            first: offset of the first neighbour whose features a place sees.
            features: further ones of every place, (batch, bin, num_features), where there are any.
        """
        noise = 2.0 * sigma[:, tf.newaxis] ** 2
        sharp = 0.5 * given - 0.25 * tf.reduce_sum(neighbours(given, 3, -1)[:, :, ::2], axis=2)
        energy = tf.reduce_sum(given**2, axis=-1) / noise
        sharp_energy = tf.reduce_sum(sharp**2, axis=-1) / (0.375 * noise)
        seen = _SCALE * tf.math.log1p(tf.stack([energy, (sharp_energy / _LOUD) ** 2], axis=-1))
        hidden = self.first(tf.reshape(seen, [-1, 2 * self.num_bins]))
        hidden = tf.nn.silu(self.norm(self.blocks(hidden, condition)))
        places = tf.reshape(self.places(hidden), [-1, self.num_bins, self.context])
        near = tf.reshape(neighbours(seen, self.num_neighbours, first), [-1, self.num_bins, 2 * self.num_neighbours])
        inputs = [places, near] if features is None else [places, near, features]
        joined = self.join(tf.concat(inputs, axis=-1)) + self.join_condition(condition)[:, tf.newaxis]
        output = self.last(tf.nn.silu(joined))
        return output[..., :-1], output[..., -1]

    def get_config(self) -> dict[str, object]:
        """Return the constructor's arguments."""
        return {**super().get_config(), **self._settings}


def neighbours(given: tf.Tensor, num: int, first: int) -> tf.Tensor:
    """Gather the given bins first .. first + num - 1 relative to each place, zeros beyond the ends.

    Args:
        given: (batch, bin, channel).
        num: how many, at least 1.
        first: offset of the first.

    Returns:
        (batch, bin, num, channel).
    """
    count, before, after = given.shape[1], max(0, -first), max(0, first + num - 1)
    padded = tf.pad(given, [[0, 0], [before, after], [0, 0]])
    begin = before + first
    return tf.stack([padded[:, begin + j : begin + j + count] for j in range(num)], axis=2)
