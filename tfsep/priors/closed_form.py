"""Densities over waves that are computed rather than trained: what they check, and the weights that they may learn."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfsep.audio.front_end import FrontEnd
from tfsep.priors.base import Prior


class ClosedForm(Prior):
    """A density over waves (time, 1) that is known at every noise level."""

    tf_dtype: tf.DType

    def _over_waves(self, front_end: FrontEnd, event_shape: tuple[int, ...], smallest_sigma: float, dtype: str) -> None:
        """Take what every such prior is given.

        Raises:
            ValueError: for events that are not waves, or a ``smallest_sigma`` that is not positive.
        """
        if front_end.domain != "wave" or len(event_shape) != 2 or event_shape[1] != 1:
            given = f"{tuple(event_shape)} over {front_end.domain!r}"
            raise ValueError(f"prior {self.kind!r} is a density over waves, events (time, 1), got {given}")
        if not smallest_sigma > 0.0:
            raise ValueError(f"smallest_sigma must be positive, got {smallest_sigma}")
        self.front_end, self.domain, self.event_shape = front_end, front_end.domain, tuple(event_shape)
        self.smallest_sigma, self.tf_dtype = smallest_sigma, tf.as_dtype(dtype)


class LearnedAtOnce(keras.Model, ClosedForm):
    """One with weights that follow from isolated sounds at once, without gradients; its arguments as of all kinds."""

    def __init__(self, front_end: FrontEnd, event_shape: tuple[int, ...], smallest_sigma: float, dtype: str) -> None:
        """Check what is given; see :meth:`ClosedForm._over_waves`."""
        super().__init__(name=self.kind, dtype=dtype)
        self._over_waves(front_end, event_shape, smallest_sigma, dtype)

    def _weight(self, name: str, value: Any) -> tf.Variable:
        """A weight that no gradient reaches, of the prior's dtype."""
        value = np.asarray(value, self.tf_dtype.as_numpy_dtype)
        start = keras.initializers.Constant(value)
        return self.add_weight(shape=value.shape, initializer=start, trainable=False, name=name)

    __repr__ = __str__ = Prior.__repr__

    def call(self, x: tf.Tensor, sigma: tf.Tensor | None = None) -> tf.Tensor:
        """Keras' call: the log-density."""
        return self.log_prob(x, sigma)
