"""Priors that are Keras models: which differ in the values of their weights only, and all weights as one vector."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import tensorflow as tf

from tfsep.axes import Sigma
from tfsep.priors.base import Prior


class Weighted(Prior):
    """A prior that is a Keras model, that is determined by its weights and its settings."""

    weights: Sequence[keras.Variable]

    def same_architecture(self, others: Sequence[Prior]) -> bool:
        """Return whether only the values of weights differ; see :meth:`Prior.same_architecture`."""
        if self.settings is None or len(others) < 2 or any(other.settings != self.settings for other in others):
            return False
        return all(
            isinstance(other, Weighted)
            and type(other) is type(self)
            and other.score_of == self.score_of
            and _shapes(other) == _shapes(self)
            for other in others
        )

    @property
    def has_weight_vector(self) -> bool:
        """Return whether all weights have one dtype; see :attr:`Prior.has_weight_vector`."""
        return len({weight.dtype for weight in self.weights}) == 1

    def weight_vector(self) -> tf.Tensor:
        """Return all weights as one vector; see :meth:`Prior.weight_vector`."""
        return tf.concat([tf.reshape(tf.convert_to_tensor(weight), [-1]) for weight in self.weights], axis=0)

    def evaluate_with(
        self, weights: tf.Tensor, method: str, events: tf.Tensor, sigma: Sigma, *more: tf.Tensor
    ) -> tf.Tensor:
        """Evaluate a method with the weights of a vector; see :meth:`Prior.evaluate_with`."""
        shapes = [tuple(weight.shape) for weight in self.weights]
        pieces = tf.split(weights, [math.prod(shape) for shape in shapes])
        values = [tf.reshape(piece, shape) for piece, shape in zip(pieces, shapes, strict=True)]
        with keras.StatelessScope(state_mapping=list(zip(self.weights, values, strict=True))):
            return getattr(self, method)(events, sigma, *more)


def _shapes(prior: Weighted) -> list[tuple[tuple[int, ...], str]]:
    return [(tuple(weight.shape), weight.dtype) for weight in prior.weights]
