"""Rank statistics and confusion counts against their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from tfsep.metrics.likelihood import accuracy, accuracy_per_source, auroc, confusion


def test_auroc_of_small_sets() -> None:
    assert auroc([2, 3], [0, 1]) == 1.0
    assert auroc([0, 1], [2, 3]) == 0.0
    assert auroc([1, 1, 1], [1, 1]) == 0.5
    assert auroc([1, 2], [1, 0]) == pytest.approx((0.5 + 1 + 1 + 1) / 4)


@pytest.mark.parametrize("seed", range(4))
def test_auroc_is_the_share_of_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    own, other = rng.integers(0, 12, 57) + 2.0, rng.integers(0, 12, 83)
    difference = own[:, None] - other[None, :]
    assert auroc(own, other) == pytest.approx(np.mean((difference > 0) + 0.5 * (difference == 0)))
    assert auroc(own, other) + auroc(other, own) == pytest.approx(1.0)
    assert auroc(np.exp(own), np.exp(other)) == pytest.approx(auroc(own, other))


def test_auroc_is_that_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    own, other = rng.normal(0.7, 1, 300).round(1), rng.normal(0, 1, 200).round(1)
    expected = metrics.roc_auc_score([1] * 300 + [0] * 200, np.concatenate([own, other]))
    assert auroc(own, other) == pytest.approx(expected)


def test_auroc_takes_infinities_and_many_scores() -> None:
    assert auroc([np.inf, 0.0], [-np.inf, 0.0]) == pytest.approx(3.5 / 4)
    scores = np.arange(200000.0)
    assert auroc(scores + 0.5, scores) == pytest.approx(0.5, abs=1e-5)


@pytest.mark.parametrize(
    ("own", "other", "message"),
    [
        ([], [1.0], r"own must be a list of at least one score, got shape \(0,\)"),
        ([1.0], [[1.0]], r"other must be a list of at least one score, got shape \(1, 1\)"),
        ([1.0, np.nan], [1.0], "own must hold no nan, got 1 of 2"),
    ],
)
def test_auroc_refuses(own: list, other: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        auroc(own, other)


def test_confusion_counts_rows_of_true_sources() -> None:
    log_probs = np.log([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.1, 0.6, 0.3], [0.2, 0.3, 0.5]])
    counts = confusion(log_probs, [0, 1, 2, 2])
    np.testing.assert_array_equal(counts, [[1, 0, 0], [0, 1, 0], [0, 1, 1]])
    assert accuracy(counts) == 0.75
    np.testing.assert_array_equal(accuracy_per_source(counts), [1.0, 1.0, 0.5])


def test_ties_go_to_the_first() -> None:
    np.testing.assert_array_equal(confusion([[1.0, 1.0], [-np.inf, -np.inf]], [1, 1]), [[0, 0], [2, 0]])


def test_a_source_never_seen_has_no_accuracy() -> None:
    counts = confusion([[0.0, 1.0]], [1])
    np.testing.assert_array_equal(accuracy_per_source(counts), [np.nan, 1.0])
    assert np.isnan(accuracy(confusion(np.zeros((0, 3)), np.zeros(0, int))))


def test_large_sets_agree_with_a_loop() -> None:
    rng = np.random.default_rng(0)
    log_probs, labels = rng.standard_normal((500, 4)), rng.integers(0, 4, 500)
    counts = np.zeros((4, 4), int)
    for row, label in zip(log_probs, labels, strict=True):
        counts[label, row.argmax()] += 1
    np.testing.assert_array_equal(confusion(log_probs, labels), counts)
    assert accuracy(counts) == pytest.approx(np.mean(log_probs.argmax(axis=1) == labels))


@pytest.mark.parametrize(
    ("log_probs", "labels", "message"),
    [
        ([1.0, 2.0], [0, 1], r"got \(2,\) and \(2,\)"),
        ([[1.0, 2.0]], [0, 1], r"got \(1, 2\) and \(2,\)"),
        ([[1.0, 2.0]], [2], r"labels must be integers in 0..1, got 2..2"),
        ([[1.0, 2.0]], [-1], r"got -1..-1"),
        ([[1.0, 2.0]], [0.5], r"got 0.5..0.5"),
        ([[np.nan, 2.0]], [0], "log_probs must hold no nan, got 1 of 2"),
    ],
)
def test_confusion_refuses(log_probs: list, labels: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        confusion(log_probs, labels)
