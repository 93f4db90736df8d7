"""A reference classifier, trained on labelled training excerpts without any prior.

Its features are the mean and the spread over frames of 32 log mel bands, less their overall mean,
so that loudness does not count; a logistic regression classifies them. It shows how well
a likelihood should discriminate, and it classifies separated stems: does a classifier that was not
part of the separation assign them to their source?
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from scipy.optimize import minimize
from scipy.special import log_softmax

from tfsep.audio import front_end as front_ends
from tfsep.evaluation.excerpts import TRAINING, IsolatedExcerpts
from tfsep.prior_test import cross_likelihood
from tfsep.prior_test.cross_likelihood import Inputs, Table
from tfsep.prior_test.record import ClassifiedStems

_MELS, _FRAME = 32, 1024
_PENALTY = 1e-3
_SMALLEST_SPREAD = 1e-9


class LogisticRegression:
    r"""Multinomial logistic regression, a small calibrated classifier over a handful of features.

    Minimises

    .. math:: -\frac1n \sum_i \log \mathrm{softmax}(W z_i + b)_{y_i} + \frac{\lambda}{2} \|W\|^2

    by L-BFGS, over features z that are standardised on the training set. It is convex, so the
    result does not depend on where the search begins.

    Args:
        features: (example, feature).
        labels: (example,) integers in 0..num_classes-1.
        num_classes: at least 2.
    """

    def __init__(self, features: np.ndarray, labels: np.ndarray, num_classes: int) -> None:
        features = np.asarray(features, np.float64)
        self._mean = features.mean(axis=0)
        self._spread = np.maximum(features.std(axis=0), _SMALLEST_SPREAD)
        design = self._design(features)
        target = np.eye(num_classes)[labels]
        shape = (design.shape[1], num_classes)

        def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
            weights = flat.reshape(shape)
            log_probs = log_softmax(design @ weights, axis=1)
            decay = np.concatenate([weights[:-1], np.zeros((1, num_classes))])
            gradient = design.T @ (np.exp(log_probs) - target) / len(design) + _PENALTY * decay
            value = -np.sum(target * log_probs) / len(design) + 0.5 * _PENALTY * np.sum(decay**2)
            return value, gradient.ravel()

        self._weights = minimize(loss, np.zeros(shape[0] * shape[1]), jac=True, method="L-BFGS-B").x.reshape(shape)

    def log_prob(self, features: np.ndarray) -> np.ndarray:
        """Compute the log-probabilities of the classes: (example, feature) -> (example, class)."""
        return log_softmax(self._design(np.asarray(features, np.float64)) @ self._weights, axis=1)

    def _design(self, features: np.ndarray) -> np.ndarray:
        standard = (features - self._mean) / self._spread
        return np.concatenate([standard, np.ones((len(standard), 1))], axis=1)


class ReferenceClassifier:
    """Log-probabilities of the sources for waveforms.

    Args:
        data: its training excerpts are what the classifier is fitted to.
        sources: the classes.
        num: training excerpts a source.
    """

    def __init__(self, data: IsolatedExcerpts, sources: Sequence[str], num: int) -> None:
        settings = {"frame_length": _FRAME, "frame_step": _FRAME // 4, "num_mels": _MELS}
        self._front_end = front_ends.build("log_mel", sample_rate=data.sample_rate, **settings)
        features = [self.features(waves) for source in sources for waves in data.batches(source, num, TRAINING)]
        labels = np.repeat(np.arange(len(sources)), num)
        self.sources = tuple(sources)
        self._model = LogisticRegression(np.concatenate(features), labels, len(sources))

    def features(self, waves: np.ndarray) -> np.ndarray:
        """Compute mean and spread of each band over frames: (batch, time) -> (batch, 64)."""
        bands = self._front_end.analyse(tf.constant(waves, tf.float32))[0].numpy()[..., 0]
        mean = bands.mean(axis=1)
        return np.concatenate([mean - mean.mean(axis=1, keepdims=True), bands.std(axis=1)], axis=1)

    def log_prob(self, waves: np.ndarray) -> np.ndarray:
        """Compute log-probabilities of the sources: (batch, time) -> (batch, source)."""
        return self._model.log_prob(self.features(waves))

    def table(self, inputs: Inputs) -> Table:
        """Compute the log-probabilities of excerpts, in a table as priors have of their densities."""
        return {name: np.concatenate([self.log_prob(waves) for waves in each()]) for name, each in inputs.items()}

    def classify_stems(self, stems: Mapping[str, np.ndarray]) -> ClassifiedStems:
        """Classify separated stems {source: (batch, time)}.

        Returns:
            What :func:`~tfsep.prior_test.cross_likelihood.discrimination` finds and ``log_prob``
            {class: {stem: mean}}.
        """
        table = {source: self.log_prob(stems[source]) for source in self.sources}
        means = cross_likelihood.means(table, self.sources, self.sources)
        return {"log_prob": means, **cross_likelihood.discrimination(table, self.sources)}
