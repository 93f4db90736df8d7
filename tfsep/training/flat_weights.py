"""A model's trainable variables as a few long vectors, which the optimiser and the averages work on.

An optimiser's operations on each of some hundreds of variables cost more time to trace, and on small variables to run,
than those on one vector of the same length: there are one vector of matrices, one of scalars and vectors, and as many
again of each further dtype. Within a call of many steps the long vectors lead and the variables follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf


class FlatWeights:
    """Long vectors that hold the values of variables.

    Attributes:
        vectors: Keras variables (length,), those of matrices apart from those of scalars and vectors.
    """

    def __init__(self, variables: Sequence[tf.Variable]) -> None:
        """Lay out the vectors and take the present values; call it under ``strategy.scope()``."""
        self._variables = list(variables)
        groups: dict[tuple[str, bool], list[int]] = {}
        for place, variable in enumerate(self._variables):
            groups.setdefault((variable.dtype.name, variable.shape.rank >= 2), []).append(place)
        self._places = list(groups.values())
        self.vectors = [
            keras.Variable(value.numpy(), dtype=dtype, name="matrices" if matrices else "vectors")
            for (dtype, matrices), value in zip(groups, self.join(self._variables), strict=True)
        ]
        self._matrices = [matrices for _, matrices in groups]

    @property
    def small(self) -> list[keras.Variable]:
        """Those of :attr:`vectors` that hold scalars and vectors: biases, scales, shifts."""
        return [vector for vector, matrices in zip(self.vectors, self._matrices, strict=True) if not matrices]

    def join(self, values: Sequence[Any]) -> list[tf.Tensor]:
        """One value for each variable, of its shape -> one for each of :attr:`vectors`."""
        flat = [tf.reshape(tf.convert_to_tensor(value), [-1]) for value in values]
        return [tf.concat([flat[place] for place in places], 0) for places in self._places]

    def split(self, vectors: Sequence[Any]) -> list[tf.Tensor]:
        """The inverse of :meth:`join`."""
        found: dict[int, tf.Tensor] = {}
        for vector, places in zip(vectors, self._places, strict=True):
            shapes = [self._variables[place].shape for place in places]
            parts = tf.split(tf.convert_to_tensor(vector), [int(np.prod(shape)) for shape in shapes])
            found |= {p: tf.reshape(part, shape) for p, part, shape in zip(places, parts, shapes, strict=True)}
        return [found[place] for place in range(len(self._variables))]

    def take(self) -> None:
        """Set the vectors to the present values of the variables."""
        for vector, value in zip(self.vectors, self.join(self._variables), strict=True):
            vector.value.assign(value)

    def give(self, vectors: Sequence[Any] | None = None) -> None:
        """Write the vectors, or others of their shapes, into the variables."""
        values = self.split([vector.value for vector in self.vectors] if vectors is None else vectors)
        for variable, value in zip(self._variables, values, strict=True):
            variable.assign(value)
