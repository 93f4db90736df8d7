r"""Multinomial logistic regression: the small calibrated classifier over a handful of features.

Minimises :math:`-\frac1n \sum_i \log \mathrm{softmax}(W z_i + b)_{y_i} + \frac{\lambda}{2} \|W\|^2` over features z
that are standardised on the training set; convex, so the answer does not depend on where the search begins.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax

_PENALTY = 1e-3
_SMALLEST_SPREAD = 1e-9


class LogisticRegression:
    """Class log-probabilities from features.

    Args:
        features: (example, feature).
        labels: (example,) integers in 0..num_classes-1.
        num_classes: at least 2.
    """

    def __init__(self, features: np.ndarray, labels: np.ndarray, num_classes: int) -> None:
        """Fit by L-BFGS."""
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
        """Log-probabilities of the classes: (example, feature) -> (example, class)."""
        return log_softmax(self._design(np.asarray(features, np.float64)) @ self._weights, axis=1)

    def _design(self, features: np.ndarray) -> np.ndarray:
        standard = (features - self._mean) / self._spread
        return np.concatenate([standard, np.ones((len(standard), 1))], axis=1)
