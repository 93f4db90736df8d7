"""Methods of several priors as graphs: one for all priors of one architecture, traced and optimised once.

A flow has thousands of operations, and takes TensorFlow seconds to trace and to optimise, once for
each loop and branch that evaluates it. Here a method of the first prior of its architecture becomes
a function of weights, events and noise level, which graphs call and do not inline. The weights of
a prior travel as one vector: loops then carry one tensor for each prior in place of all its weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from tfsep.axes import Sigma
from tfsep.priors.base import Prior
from tfsep.runtime.stateless_random import is_portable

_Graph = Callable[..., tf.Tensor]


class SharedGraphs:
    """Priors, and their weights in the graph where this is made; it is for that graph and those within it.

    Priors without a weight vector (:attr:`tfsep.priors.base.Prior.has_weight_vector`) are called as
    they are, and so are all where XLA compiles the whole program.

    Args:
        priors: one per source, of one event shape.
    """

    def __init__(self, priors: Sequence[Prior]) -> None:
        """Read the weights."""
        self.priors = tuple(priors)
        self._weights = [None if is_portable() else _weights(prior) for prior in self.priors]

    def __call__(self, k: int, method: str, events: tf.Tensor, sigma: Sigma, *more: tf.Tensor) -> tf.Tensor:
        """Evaluate a method of prior k.

        Args:
            k: index of the prior.
            method: such as "denoise" or "log_prob".
            events: (batch,) + event_shape.
            sigma: the noise level, a scalar.
            more: what else the method takes, (batch, ...), each of a known shape but for the batch.

        Returns:
            Float32, of the shape that the method returns.
        """
        prior, weights = self.priors[k], self._weights[k]
        if weights is None:
            return tf.cast(getattr(prior, method)(events, sigma, *more), tf.float32)
        first = next(other for other in self.priors if other is prior or other.same_architecture([other, prior]))
        values = [tf.cast(value, tf.float32) for value in (events, sigma, *more)]
        return _method(first, method, weights.dtype, [each.shape[1:] for each in more])(weights, *values)


def _weights(prior: Prior) -> tf.Tensor | None:
    """Read a prior's weights; in graphs by a function of its own, as there are many."""
    if not prior.has_weight_vector:
        return None
    return _kept(prior, "weights", prior.weight_vector, [])() if tf.inside_function() else prior.weight_vector()


def _method(prior: Prior, method: str, dtype: tf.DType, shapes: Sequence[tf.TensorShape]) -> _Graph:
    """Return a method as a function of weights, events, noise level, and what else it takes, of given shapes."""

    def evaluate(weights: tf.Tensor, events: tf.Tensor, sigma: tf.Tensor, *more: tf.Tensor) -> tf.Tensor:
        return tf.cast(prior.evaluate_with(weights, method, events, sigma, *more), tf.float32)

    events, level = tf.TensorSpec([None, *prior.event_shape], tf.float32), tf.TensorSpec([], tf.float32)
    more = [tf.TensorSpec([None, *shape], tf.float32) for shape in shapes]
    # What a score is taken from can be set on a prior that has been called before.
    name = " ".join([f"{method} by {prior.score_of}", *(str(tuple(shape)) for shape in shapes)])
    return _kept(prior, name, evaluate, [tf.TensorSpec([None], dtype), events, level, *more])


def _kept(prior: Prior, name: str, call: _Graph, signature: Sequence[tf.TensorSpec]) -> _Graph:
    """Return a prior's graph of this name, made of ``call`` at first and never inlined."""
    # In the dictionary itself, as Keras tracks what is assigned to a model.
    kept: dict[str, _Graph] = vars(prior).setdefault("_shared_graphs", {})
    if name not in kept:
        kept[name] = tf.function(
            call, input_signature=signature, autograph=False, experimental_attributes={"_noinline": True}
        )
    return kept[name]
