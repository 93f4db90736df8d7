"""How well log-likelihoods distinguish the sources.

The area under the ROC curve of two sets of detection scores, here log p_k(s), is the probability
that a score of the first set lies above one of the second, with ties counted half (the Mann-Whitney
statistic; Hanley and McNeil, 1982). The classifier of the confusion matrix is argmax_k log p_k(s),
the first of equal ones.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def auroc(own: npt.ArrayLike, other: npt.ArrayLike) -> float:
    """Return the area under the ROC curve that separates ``own`` scores (high) from ``other`` ones (low).

    Args:
        own: (num_own,) scores of what should score high; infinities are allowed.
        other: (num_other,) scores of what should score low.

    Returns:
        P(own > other) + P(own = other) / 2 over all pairs, in 0..1; 0.5 is chance.

    Raises:
        ValueError: if one side has no scores, more than one axis, or a nan.
    """
    own, other = np.asarray(own, np.float64), np.asarray(other, np.float64)
    for name, scores in (("own", own), ("other", other)):
        if scores.ndim != 1 or scores.size == 0:
            raise ValueError(f"{name} must be a list of at least one score, got shape {scores.shape}")
        if np.isnan(scores).any():
            raise ValueError(f"{name} must hold no nan, got {int(np.isnan(scores).sum())} of {scores.size}")
    ranked = np.sort(other)
    below = np.searchsorted(ranked, own, side="left")
    up_to = np.searchsorted(ranked, own, side="right")
    return float(np.sum(below + up_to, dtype=np.float64) / 2.0 / own.size / other.size)


def confusion(log_probs: npt.ArrayLike, labels: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Count how often each source is the most likely one, for examples of each true source.

    Args:
        log_probs: (num_examples, num_sources), log p_k of each example under each prior.
        labels: (num_examples,) integers in 0..num_sources-1, the true sources.

    Returns:
        (num_sources, num_sources) counts; row: the true source, column: argmax_k log p_k.

    Raises:
        ValueError: for shapes that do not fit, a label outside its range, or a nan.
    """
    log_probs, labels = np.asarray(log_probs, np.float64), np.asarray(labels)
    if log_probs.ndim != 2 or labels.shape != log_probs.shape[:1]:
        raise ValueError(
            f"log_probs must be (num_examples, num_sources) and labels (num_examples,), got {log_probs.shape} and "
            f"{labels.shape}"
        )
    if np.isnan(log_probs).any():
        raise ValueError(f"log_probs must hold no nan, got {int(np.isnan(log_probs).sum())} of {log_probs.size}")
    num_sources = log_probs.shape[1]
    counts = np.zeros((num_sources, num_sources), np.int64)
    if labels.size:
        if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= num_sources:
            raise ValueError(f"labels must be integers in 0..{num_sources - 1}, got {labels.min()}..{labels.max()}")
        np.add.at(counts, (labels, np.argmax(log_probs, axis=1)), 1)
    return counts


def accuracy(counts: npt.ArrayLike) -> float:
    """Return the share of examples on the diagonal of a confusion matrix (num_sources, num_sources); nan of none."""
    counts = np.asarray(counts, np.float64)
    return float(np.trace(counts) / counts.sum()) if counts.sum() else float("nan")


def accuracy_per_source(counts: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the share on the diagonal of each row of a confusion matrix, (num_sources,); nan for an empty row."""
    counts = np.asarray(counts, np.float64)
    seen = counts.sum(axis=1)
    return np.where(seen > 0, np.diagonal(counts) / np.where(seen > 0, seen, 1.0), np.nan)
