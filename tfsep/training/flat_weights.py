"""A model's trainable variables as a few long vectors, which the optimiser and the averages work on.

An optimiser's operations on each of some hundreds of variables cost more time to trace, and on small variables to run,
than those on one vector of the same length: there are one vector of matrices, one of scalars and vectors, and as many
again of each further dtype. Within a call of many steps the long vectors lead and the variables follow; a flow whose
steps are a loop reads its weights from the vectors themselves (``tfsep.bijectors.reversible.stacked_parameters``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfsep.runtime import packed_weights


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
        self._starts: dict[int, packed_weights.Position] = {}
        for number, places in enumerate(self._places):
            start = 0
            for place in places:
                self._starts[id(self._variables[place])] = (number, start)
                start += int(np.prod(self._variables[place].shape))
        self.vectors = [
            keras.Variable(value.numpy(), dtype=dtype, name="matrices" if matrices else "vectors")
            for (dtype, matrices), value in zip(groups, self.concatenate(self._variables), strict=True)
        ]
        self._matrices = [matrices for _, matrices in groups]

    @property
    def small(self) -> list[keras.Variable]:
        """Those of :attr:`vectors` that hold scalars and vectors: biases, scales, shifts."""
        return [vector for vector, matrices in zip(self.vectors, self._matrices, strict=True) if not matrices]

    def concatenate(self, values: Sequence[Any]) -> list[tf.Tensor]:
        """One value for each variable, of its shape -> one for each of :attr:`vectors`."""
        flat = [tf.reshape(tf.convert_to_tensor(value), [-1]) for value in values]
        return [tf.concat([flat[place] for place in places], 0) for places in self._places]

    @contextlib.contextmanager
    def viewed(self) -> Iterator[WeightViews]:
        """Within the block, what can do so reads the weights from :attr:`vectors`; the views tells what it was."""
        views = WeightViews([tf.convert_to_tensor(vector.value) for vector in self.vectors])
        with packed_weights.using(
            packed_weights.PackedWeights(lambda parameter: self._starts.get(id(_variable(parameter))), views.view)
        ):
            yield views

    def total(self, gradients: Sequence[tf.Tensor | None], of_vectors: Sequence[tf.Tensor | None]) -> list[tf.Tensor]:
        """Gradients in the variables (None: lent) and in the vectors (None: nothing lent), as those in the vectors."""
        joined = [self._padded(gradients, places) for places in self._places]
        return [each if more is None else each + more for each, more in zip(joined, of_vectors, strict=True)]

    def _padded(self, gradients: Sequence[tf.Tensor | None], places: Sequence[int]) -> tf.Tensor:
        """The gradients in the variables of one vector behind each other, zeros where there is none."""
        pieces: list[tf.Tensor] = []
        missing = 0
        for place in places:
            gradient = gradients[place]
            if gradient is None:
                missing += int(np.prod(self._variables[place].shape))
                continue
            pieces += [tf.zeros([missing], gradient.dtype)] if missing else []
            pieces.append(tf.reshape(gradient, [-1]))
            missing = 0
        pieces += [tf.zeros([missing], self._variables[places[-1]].dtype)] if missing else []
        return tf.concat(pieces, 0)

    def split(self, vectors: Sequence[Any]) -> list[tf.Tensor]:
        """The inverse of :meth:`concatenate`."""
        found: dict[int, tf.Tensor] = {}
        for vector, places in zip(vectors, self._places, strict=True):
            shapes = [self._variables[place].shape for place in places]
            parts = tf.split(tf.convert_to_tensor(vector), [int(np.prod(shape)) for shape in shapes])
            found |= {p: tf.reshape(part, shape) for p, part, shape in zip(places, parts, shapes, strict=True)}
        return [found[place] for place in range(len(self._variables))]

    def take(self) -> None:
        """Set the vectors to the present values of the variables."""
        for vector, value in zip(self.vectors, self.concatenate(self._variables), strict=True):
            vector.value.assign(value)

    def give(self, vectors: Sequence[Any] | None = None) -> None:
        """Write the vectors, or others of their shapes, into the variables."""
        values = self.split([vector.value for vector in self.vectors] if vectors is None else vectors)
        for variable, value in zip(self._variables, values, strict=True):
            variable.assign(value)


class WeightViews:
    """Long vectors, and what was read from them in place of variables.

    Attributes:
        vectors: as they were read.
        variables: identities of the variables that were read there.
    """

    def __init__(self, vectors: Sequence[tf.Tensor]) -> None:
        """Nothing yet."""
        self.vectors = list(vectors)
        self.variables: set[int] = set()

    def view(self, number: int, parameters: Sequence[Any]) -> tf.Tensor:
        """A vector, from which these parameters are read."""
        self.variables.update(id(_variable(parameter)) for parameter in parameters)
        return self.vectors[number]


def _variable(parameter: Any) -> Any:
    """The variable of TensorFlow behind one of Keras; anything else is itself."""
    return parameter.value if isinstance(parameter, keras.Variable) else parameter
