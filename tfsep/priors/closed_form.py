"""Densities over waves in closed form: what all of them check, and the weights that some of them learn."""

from __future__ import annotations

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfsep.audio.front_end import FrontEnd
from tfsep.priors.base import Prior
from tfsep.priors.weight_vector import Weighted


class ClosedForm(Prior):
    """A density over waves (time, 1) that is known at every noise level."""

    tf_dtype: tf.DType
    length: int

    def _over_waves(self, front_end: FrontEnd, event_shape: tuple[int, ...], smallest_sigma: float, dtype: str) -> None:
        """Set what every such prior has.

        Raises:
            ValueError: for events that are not waves, or a ``smallest_sigma`` that is not positive.
        """
        if front_end.domain != "wave" or len(event_shape) != 2 or event_shape[1] != 1:
            given = f"{tuple(event_shape)} over {front_end.domain!r}"
            raise ValueError(f"prior {self.kind!r} is a density over waves, events (time, 1), got {given}")
        if not smallest_sigma > 0.0:
            raise ValueError(f"smallest_sigma must be positive, got {smallest_sigma}")
        self.front_end, self.domain, self.event_shape = front_end, front_end.domain, tuple(event_shape)
        self.length = self.event_shape[0]
        self.smallest_sigma, self.tf_dtype = smallest_sigma, tf.as_dtype(dtype)


class LearnedAtOnce(keras.Model, Weighted, ClosedForm):
    """A density in closed form whose weights follow from isolated sounds at once, without gradients."""

    def __init__(self, front_end: FrontEnd, event_shape: tuple[int, ...], smallest_sigma: float, dtype: str) -> None:
        """Check what is given; see :meth:`ClosedForm._over_waves`."""
        super().__init__(name=self.kind, dtype=dtype)
        self._over_waves(front_end, event_shape, smallest_sigma, dtype)

    def _weight(self, name: str, value: npt.ArrayLike) -> tf.Variable:
        """Add a weight of the prior's dtype that is not trained by gradients."""
        value = np.asarray(value, self.tf_dtype.as_numpy_dtype)
        start = keras.initializers.Constant(value)
        return self.add_weight(shape=value.shape, initializer=start, trainable=False, name=name)

    __repr__ = __str__ = Prior.__repr__

    def call(self, x: tf.Tensor, sigma: tf.Tensor | None = None) -> tf.Tensor:
        """Compute the log-density, as Keras' call."""
        return self.log_prob(x, sigma)
