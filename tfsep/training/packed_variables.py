"""Pack a model's trainable variables into a few long vectors for the optimiser and the averages.

An optimiser's operations on each of some hundreds of variables take longer to trace, and on small
variables to run, than those on one vector of the same length. There is one vector of matrices, one
of scalars and vectors, and as many again of each further dtype. Within a call of many steps the
packed vectors are updated and the variables follow. A flow whose steps are a loop reads its weights
as views of the vectors (:mod:`tfsep.bijectors.reversible.stacked_parameters`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf

from tfsep.axes import TensorLike
from tfsep.runtime import packed_weights


class PackedVariables:
    """Long vectors that hold the values of variables.

    Attributes:
        vectors: Keras variables (length,), those of matrices apart from those of scalars and
            vectors.
    """

    def __init__(self, variables: Sequence[tf.Variable]) -> None:
        """Lay out the vectors and copy the values; to be called under ``strategy.scope()``."""
        self._variables = list(variables)
        groups: dict[tuple[str, bool], list[int]] = {}
        for index, variable in enumerate(self._variables):
            groups.setdefault((variable.dtype.name, variable.shape.rank >= 2), []).append(index)
        self._groups = list(groups.values())
        self._positions: dict[int, packed_weights.Position] = {}
        for number, group in enumerate(self._groups):
            start = 0
            for index in group:
                self._positions[id(self._variables[index])] = (number, start)
                start += int(np.prod(self._variables[index].shape))
        self.vectors = [
            keras.Variable(value.numpy(), dtype=dtype, name="matrices" if matrices else "vectors")
            for (dtype, matrices), value in zip(groups, self.concatenate(self._variables), strict=True)
        ]
        self._matrices = [matrices for _, matrices in groups]

    @property
    def small(self) -> list[keras.Variable]:
        """Those of :attr:`vectors` that hold scalars and vectors: biases, scales, shifts."""
        return [vector for vector, matrices in zip(self.vectors, self._matrices, strict=True) if not matrices]

    def concatenate(self, values: Sequence[TensorLike | tf.Variable]) -> list[tf.Tensor]:
        """Return a tensor for each of :attr:`vectors` from a value for each variable, of its shape."""
        flat = [tf.reshape(tf.convert_to_tensor(value), [-1]) for value in values]
        return [tf.concat([flat[index] for index in group], 0) for group in self._groups]

    @contextlib.contextmanager
    def reading(self) -> Iterator[Views]:
        """Let layers read their weights as views of :attr:`vectors` within the block, if they can.

        Yields:
            The vectors, and which variables were read from them.
        """
        views = Views([tf.convert_to_tensor(vector.value) for vector in self.vectors])
        with packed_weights.using(
            packed_weights.PackedWeights(lambda parameter: self._positions.get(id(_variable(parameter))), views.view)
        ):
            yield views

    def sum_gradients(
        self, of_variables: Sequence[tf.Tensor | None], of_vectors: Sequence[tf.Tensor | None]
    ) -> list[tf.Tensor]:
        """Return the whole gradients in the vectors.

        Args:
            of_variables: gradients in the variables, None for those read as views of the vectors.
            of_vectors: gradients in the vectors, None where nothing was read from one.
        """
        joined = [self._padded(of_variables, group) for group in self._groups]
        return [each if more is None else each + more for each, more in zip(joined, of_vectors, strict=True)]

    def _padded(self, gradients: Sequence[tf.Tensor | None], group: Sequence[int]) -> tf.Tensor:
        """Concatenate the gradients in the variables of one vector, zeros for those that are None."""
        pieces: list[tf.Tensor] = []
        missing = 0
        for index in group:
            gradient = gradients[index]
            if gradient is None:
                missing += int(np.prod(self._variables[index].shape))
                continue
            pieces += [tf.zeros([missing], gradient.dtype)] if missing else []
            pieces.append(tf.reshape(gradient, [-1]))
            missing = 0
        pieces += [tf.zeros([missing], self._variables[group[-1]].dtype)] if missing else []
        return tf.concat(pieces, 0)

    def split(self, vectors: Sequence[TensorLike | tf.Variable]) -> list[tf.Tensor]:
        """Return one tensor for each variable, of its shape: the inverse of :meth:`concatenate`."""
        found: dict[int, tf.Tensor] = {}
        for vector, group in zip(vectors, self._groups, strict=True):
            shapes = [self._variables[index].shape for index in group]
            parts = tf.split(tf.convert_to_tensor(vector), [int(np.prod(shape)) for shape in shapes])
            found |= {index: tf.reshape(part, shape) for index, part, shape in zip(group, parts, shapes, strict=True)}
        return [found[index] for index in range(len(self._variables))]

    def pack(self) -> None:
        """Set the vectors to the present values of the variables."""
        for vector, value in zip(self.vectors, self.concatenate(self._variables), strict=True):
            vector.value.assign(value)

    def unpack(self, vectors: Sequence[tf.Variable] | None = None) -> None:
        """Write the vectors, or others of their shapes, into the variables."""
        values = self.split([vector.value for vector in self.vectors] if vectors is None else vectors)
        for variable, value in zip(self._variables, values, strict=True):
            variable.assign(value)


class Views:
    """Packed vectors, and the variables that were read from them.

    Attributes:
        vectors: as they were read.
        variables: identities of the variables whose values were read from the vectors.
    """

    def __init__(self, vectors: Sequence[tf.Tensor]) -> None:
        self.vectors = list(vectors)
        self.variables: set[int] = set()

    def view(self, number: int, parameters: Sequence[tf.Variable | keras.Variable]) -> tf.Tensor:
        """Return a vector from which these parameters are read, and note that they are."""
        self.variables.update(id(_variable(parameter)) for parameter in parameters)
        return self.vectors[number]


def _variable(parameter: tf.Variable | keras.Variable) -> tf.Variable:
    """Return the variable of TensorFlow behind one of Keras, or the variable itself."""
    return parameter.value if isinstance(parameter, keras.Variable) else parameter
