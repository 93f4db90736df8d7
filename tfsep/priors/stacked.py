r"""N priors of one architecture as one: their weights are stacked, and one vectorised call evaluates all.

With :math:`\theta_k` the weights of prior k, the map
:math:`(\theta, x) \mapsto \nabla_x \log p_\theta(x)` of the first prior is vectorised over the
stack :math:`(\theta_k, x_k)_{k = 1 \dots N}`: each of its matrix products becomes one product of N
matrices. The graph has the operations of one prior instead of N times as many.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

from tfsep.axes import Sigma
from tfsep.priors.base import Prior
from tfsep.priors.weight_vector import Weighted
from tfsep.runtime.trace_context import STACKED, entering


class Stackable(Weighted):
    """A prior that is a Keras model, of which several can be evaluated in one vectorised call."""

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
