r"""Contrastive fine-tuning: priors that were trained alone learn to classify their sources together.

Class labels are all that is used. For an excerpt s_k of source k, with the same noise for all
priors,

.. math:: L = -\frac1D \log p_k(s_k) - w \log \frac{p_k(s_k)^{\beta/D}}{\sum_j p_j(s_k)^{\beta/D}},

maximum likelihood, which keeps each p_k a density of its source, and the cross-entropy of the
priors as a classifier (outlier exposure: Hendrycks et al., 2019). The power beta / D tempers it:
with beta = D the evidence is that of a whole event, nearly every example is classified with
certainty, and the gradient vanishes. No mixture is used, and the excerpts are independent of each
other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import keras
import tensorflow as tf

from tfsep.axes import Events, Sigma, Sources
from tfsep.errors import InputError
from tfsep.priors.base import Prior
from tfsep.training.prior_objectives import noised
from tfsep.training.task import Loss


class PriorEnsemble(keras.Model):
    """Priors of several sources, to be trained together.

    Args:
        priors: {source: prior}, each a Keras model with a density over the same events.
    """

    def __init__(self, priors: Mapping[str, Prior]) -> None:
        """Keep the priors as attributes of this model."""
        super().__init__(name="ensemble")
        self.sources = tuple(priors)
        self.members = list(priors.values())
        # Keras 3 hides layers in lists from tf.train.Checkpoint, which would save almost nothing without an error.
        self.checkpointed = tf.train.Checkpoint(weights=[weight.value for weight in self.weights])
        self.built = True

    def call(self, events: Events, sigma: Sigma | None = None) -> tf.Tensor:
        """Return log-densities per dimension under every prior, (batch, source), in nats."""
        return tf.stack([prior.nats_per_dim(events, sigma) for prior in self.members], axis=-1)


Objective = Callable[[PriorEnsemble, Sources, tf.Tensor], Loss]


def contrastive(weight: float = 1.0, beta: float = 20.0) -> Objective:
    """Return the objective above, (ensemble, sources (batch, source, time), seed) -> (loss, metrics).

    Args:
        weight: w of the cross-entropy, at least 0.
        beta: of its power, above 0; a lead of 1 / beta nats per dimension is a factor e.

    Raises:
        InputError: for a weight or a beta out of range.
    """
    if not 0.0 <= weight < math.inf or not 0.0 < beta < math.inf:
        raise InputError(f"weight must be at least 0 and beta above 0, got {weight:g} and {beta:g}")

    def objective(ensemble: PriorEnsemble, sources: Sources, seed: tf.Tensor) -> Loss:
        pairs = [noised(prior, sources[:, k], seed + k) for k, prior in enumerate(ensemble.members)]
        sigma = None if pairs[0][1] is None else tf.concat([level for _, level in pairs], axis=0)
        every = ensemble(tf.concat([events for events, _ in pairs], axis=0), sigma)
        labels = tf.repeat(tf.range(len(pairs)), tf.shape(sources)[0])
        nats = tf.gather(every, labels, batch_dims=1)
        entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, beta * every)
        right = tf.cast(tf.argmax(every, -1, tf.int32) == labels, every.dtype)
        own, cross, accuracy = (tf.reduce_mean(values) for values in (nats, entropy, right))
        return weight * cross - own, {"nats_per_dim": own, "cross_entropy": cross, "accuracy": accuracy}

    return objective
