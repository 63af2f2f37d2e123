"""The two-sample test: its level where there is nothing to find, its power where there is, and a peer's classifier."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics import roc_auc_score

from rewardsmith.evaluation.shift import _held_out_auc, _similarity, two_sample_test

WIDTH = 30


def drawn(rng: np.random.Generator, n: int, shift: float = 0.0) -> np.ndarray:
    """Skewed, correlated rows; a shift of the first three columns in units of their spread."""
    rows = rng.exponential(size=(n, WIDTH))
    rows[:, 1] += rows[:, 0]
    rows[:, :3] += shift
    return rows


def test_halves_of_one_distribution_are_told_apart_no_more_often_than_the_level_says() -> None:
    rng = np.random.default_rng(3)
    worlds = 400
    p = [two_sample_test(drawn(rng, 60), drawn(rng, 41), seed=k, n_permutations=99).p_value for k in range(worlds)]
    assert 0.4 < np.mean(p) < 0.6
    for level in (0.05, 0.2):
        low, high = binom.ppf([0.001, 0.999], worlds, level)
        assert low <= np.sum(np.array(p) <= level) <= high


def test_a_shift_is_found() -> None:
    rng = np.random.default_rng(4)
    found = [two_sample_test(drawn(rng, 100), drawn(rng, 60, 1.0), seed=k) for k in range(10)]
    assert all(test.p_value <= 0.005 and test.auc > 0.6 for test in found)


def test_wide_rows_and_columns_without_spread_do_no_harm() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(40, 500)), rng.normal(size=(40, 500))
    a[:, :100] = b[:, :100] = 7.0
    assert two_sample_test(a, b).p_value > 0.05
    assert two_sample_test(a[:, :100], b[:, :100]).auc == 0.5
    assert two_sample_test(a, b + 1.0).p_value == 0.001


def test_the_area_is_that_of_a_peer() -> None:
    rng = np.random.default_rng(6)
    x = np.concatenate([drawn(rng, 40), drawn(rng, 30, 0.7)])
    labels = np.repeat([0.0, 1.0], [40, 30])
    held_out = rng.permutation(70) < 20
    similarity = _similarity(x)
    assert np.trace(similarity) == pytest.approx(70)
    train = ~held_out
    peer = KernelRidge(alpha=1.0, kernel="precomputed")
    peer.fit(similarity[np.ix_(train, train)], labels[train] - labels[train].mean())
    expected = roc_auc_score(labels[held_out], peer.predict(similarity[np.ix_(held_out, train)]))
    assert _held_out_auc(similarity, labels[:, None], held_out)[0] == pytest.approx(expected)


def test_samples_that_are_too_small_are_refused() -> None:
    with pytest.raises(ValueError, match="samples of 9 and 30 rows"):
        two_sample_test(np.zeros((9, 2)), np.zeros((30, 2)))
