r"""N priors of one architecture as one: their weights are stacked, and one vectorised call evaluates all.

With :math:`\theta_k` the weights of prior k, the map
:math:`(\theta, x) \mapsto \nabla_x \log p_\theta(x)` of the first prior is vectorised over the
stack :math:`(\theta_k, x_k)_{k = 1 \dots N}`: each of its matrix products becomes one product of N
matrices. The graph has the operations of one prior instead of N times as many.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import tensorflow as tf

from tfsep.axes import Sigma
from tfsep.priors.base import Prior
from tfsep.runtime.trace_context import STACKED, entering


class Stackable(Prior):
    """A prior that is a Keras model, that is determined by its weights and its settings."""

    weights: Sequence[keras.Variable]

    def same_architecture(self, others: Sequence[Prior]) -> bool:
        """Return whether only the values of weights differ; see :meth:`Prior.same_architecture`."""
        if self.settings is None or len(others) < 2 or any(other.settings != self.settings for other in others):
            return False
        return all(
            isinstance(other, Stackable)
            and type(other) is type(self)
            and other.score_of == self.score_of
            and _shapes(other) == _shapes(self)
            for other in others
        )

    def evaluate_stacked(
        self, priors: Sequence[Prior], method: str, events: tf.Tensor, sigma: Sigma
    ) -> tf.Tensor | None:
        """Evaluate ``method`` of all priors in one vectorised call; see :meth:`Prior.evaluate_stacked`."""
        if not self.same_architecture(priors):
            return None
        owned = self.weights
        same = zip(*(prior.weights for prior in priors if isinstance(prior, Stackable)), strict=True)
        values = [tf.stack([tf.convert_to_tensor(each) for each in weights]) for weights in same]

        def one(weights_and_events: tuple[list[tf.Tensor], tf.Tensor]) -> tf.Tensor:
            mine, x = weights_and_events
            with entering(STACKED), keras.StatelessScope(state_mapping=list(zip(owned, mine, strict=True))):
                return getattr(self, method)(x, sigma)

        return tf.vectorized_map(one, (values, events), fallback_to_while_loop=False)

    @property
    def has_weight_vector(self) -> bool:
        """Return whether all weights have one dtype; see :attr:`Prior.has_weight_vector`."""
        return len({weight.dtype for weight in self.weights}) == 1

    def weight_vector(self) -> tf.Tensor:
        """Return all weights as one vector; see :meth:`Prior.weight_vector`."""
        return tf.concat([tf.reshape(tf.convert_to_tensor(weight), [-1]) for weight in self.weights], axis=0)

    def evaluate_with(self, weights: tf.Tensor, method: str, events: tf.Tensor, sigma: Sigma) -> tf.Tensor:
        """Evaluate a method with the weights of a vector; see :meth:`Prior.evaluate_with`."""
        shapes = [tuple(weight.shape) for weight in self.weights]
        pieces = tf.split(weights, [math.prod(shape) for shape in shapes])
        values = [tf.reshape(piece, shape) for piece, shape in zip(pieces, shapes, strict=True)]
        with keras.StatelessScope(state_mapping=list(zip(self.weights, values, strict=True))):
            return getattr(self, method)(events, sigma)


def _shapes(prior: Stackable) -> list[tuple[tuple[int, ...], str]]:
    return [(tuple(weight.shape), weight.dtype) for weight in prior.weights]
