"""Do two samples come from one distribution? The classifier two-sample test of Lopez-Paz and Oquab (2017, arXiv
1610.06545): where they do, no classifier can tell them apart on rows that it was not trained on.

Pure functions on arrays, one row for each independent unit. Knows nothing of models or preferences.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from rewardsmith.evaluation.pairs import BoolArray, FloatArray

N_PERMUTATIONS = 999
LEAST = 10
"""Rows of each sample."""
_FOLDS = 5
_RIDGE = 1.0
"""Of the classifier, in units of a row's mean squared length."""


@dataclass(frozen=True)
class TwoSampleTest:
    """auc: of telling the samples apart, 0.5 is not at all; p_value: of that much or more in samples of one kind."""

    auc: float
    p_value: float


def two_sample_test(
    a: FloatArray, b: FloatArray, *, seed: int = 0, n_permutations: int = N_PERMUTATIONS
) -> TwoSampleTest:
    """Whether a linear classifier can tell `a` [n, width] from `b` [m, width], cross-fitted.

    The figure is the area under the ROC curve on held-out rows, averaged over folds; its p-value, (hits + 1) /
    (permutations + 1), comes from the same with the labels permuted, and holds the level in finite samples because
    nothing but the labels is fitted to the labels. The classifier is ridge regression on them: it has the direction
    of linear discriminant analysis, and its scores are linear in the labels, so that all permutations cost one product.

    Raises:
        ValueError: a sample has so few rows that no fold need hold both.
    """
    if min(len(a), len(b)) < LEAST:
        raise ValueError(f"samples of {len(a)} and {len(b)} rows; each needs {LEAST}")
    rng = np.random.default_rng(seed)
    n = len(a) + len(b)
    labels = np.repeat([0.0, 1.0], [len(a), len(b)])
    labels = np.column_stack([labels, *(rng.permutation(labels) for _ in range(n_permutations))])
    fold = rng.permutation(n) % _FOLDS
    similarity = _similarity(np.concatenate([a, b]))
    areas = np.nanmean([_held_out_auc(similarity, labels, fold == k) for k in range(_FOLDS)], axis=0)
    hits = int(np.sum(areas[1:] >= areas[0] - 1e-12))
    return TwoSampleTest(float(areas[0]), (hits + 1) / (n_permutations + 1))


def _similarity(x: FloatArray) -> FloatArray:
    """Products [n, n] of the rows in units of each column's spread; 1 is a row's mean square."""
    spread = x.std(axis=0)
    x = (x - x.mean(axis=0)) / np.where(spread > 1e-12, spread, 1.0)
    products: FloatArray = x @ x.T
    mean_square = np.trace(products) / len(x)
    return products / mean_square if mean_square > 0 else products


def _held_out_auc(similarity: FloatArray, labels: FloatArray, held_out: BoolArray) -> FloatArray:
    """(p,) area under the curve for each of p columns of labels, on held-out rows; NaN where those are all alike."""
    train = ~held_out
    known = labels[train] - labels[train].mean(axis=0)
    inner = similarity[np.ix_(train, train)] + _RIDGE * np.eye(int(train.sum()))
    scores = similarity[np.ix_(held_out, train)] @ np.linalg.solve(inner, known)
    truth = labels[held_out]
    ones = truth.sum(axis=0)
    zeros = len(truth) - ones
    above = (rankdata(scores, axis=0) * truth).sum(axis=0) - ones * (ones + 1) / 2
    with np.errstate(invalid="ignore"):
        result: FloatArray = above / (ones * zeros)
    return result
