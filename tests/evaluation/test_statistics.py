"""Intervals and p-values against statsmodels, scipy and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap, kstest, permutation_test
from statsmodels.api import WLS

from rewardsmith.evaluation.pairs import prompt_weights
from rewardsmith.evaluation.statistics import cluster_bootstrap, cluster_sums, sign_flip_p_value


def clustered(n_clusters: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Right or wrong for one to four pairs a prompt, alike within a prompt."""
    clusters = np.repeat(np.arange(n_clusters), rng.integers(1, 5, size=n_clusters))
    ease = rng.beta(2, 1, size=n_clusters)
    return (rng.random(len(clusters)) < ease[clusters]).astype(float), clusters


def test_width_is_that_of_cluster_robust_least_squares():
    values, clusters = clustered(400, np.random.default_rng(0))
    weights = prompt_weights(clusters)
    fit = WLS(values, np.ones(len(values)), weights=weights).fit(cov_type="cluster", cov_kwds={"groups": clusters})
    interval = cluster_bootstrap(values, clusters, weights, seed=1, n_resamples=4000)
    assert interval is not None
    assert (interval[1] - interval[0]) / (2 * 1.96) == pytest.approx(fit.bse[0], rel=0.06)
    assert sum(interval) / 2 == pytest.approx(fit.params[0], abs=0.1 * fit.bse[0])


def test_unequal_clusters_too():
    """Weights per pair: the mean over clusters is a ratio, whose spread least squares knows as well."""
    values, clusters = clustered(400, np.random.default_rng(9))
    weights = np.ones(len(values))
    fit = WLS(values, np.ones(len(values))).fit(cov_type="cluster", cov_kwds={"groups": clusters})
    interval = cluster_bootstrap(values, clusters, weights, seed=1, n_resamples=4000)
    assert interval is not None
    assert (interval[1] - interval[0]) / (2 * 1.96) == pytest.approx(fit.bse[0], rel=0.06)


def test_ends_are_scipys_bca():
    rng = np.random.default_rng(2)
    values = rng.exponential(size=40)  # skewed, so that bias and acceleration matter
    clusters = np.arange(40)
    ours = cluster_bootstrap(values, clusters, prompt_weights(clusters), n_resamples=40_000)
    theirs = bootstrap((values,), np.mean, n_resamples=40_000, method="BCa", rng=3).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.02)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(4)
    hits = 0
    for k in range(300):
        values, clusters = clustered(60, rng)
        low, high = cluster_bootstrap(values, clusters, prompt_weights(clusters), seed=k, n_resamples=500) or (1, 0)
        hits += low <= 2 / 3 <= high
    assert 0.91 <= hits / 300 <= 0.98


def test_seeds_decide():
    values, clusters = clustered(50, np.random.default_rng(5))
    weights = prompt_weights(clusters)
    first, again, other = (cluster_bootstrap(values, clusters, weights, seed=s) for s in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize(
    ("values", "clusters"), [([1.0, 0.0], [0, 0]), ([], []), ([1.0, 1.0, 1.0], [0, 1, 2]), ([1, 0, 1, 0], [0, 0, 1, 1])]
)
def test_no_spread_between_clusters_is_no_interval(values, clusters):
    ids = np.array(clusters, dtype=int)
    assert cluster_bootstrap(np.array(values, dtype=float), ids, prompt_weights(ids)) is None


def test_chunks_change_nothing_but_memory():
    """More clusters than one chunk holds resamples for."""
    rng = np.random.default_rng(6)
    values, clusters = rng.random(5000), np.arange(5000)
    low, high = cluster_bootstrap(values, clusters, prompt_weights(clusters), n_resamples=1000) or (0, 0)
    assert (high - low) / (2 * 1.96) == pytest.approx(values.std() / np.sqrt(5000), rel=0.1)


def test_exact_p_value_is_scipys():
    rng = np.random.default_rng(7)
    differences, clusters = rng.normal(0.4, 1, size=9), np.arange(9)
    truth = permutation_test(
        (differences,), np.sum, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
    ).pvalue
    assert sign_flip_p_value(differences, clusters, np.ones(9)) == pytest.approx(truth)


def test_drawn_p_value_is_near_the_exact_one():
    rng = np.random.default_rng(8)
    differences = rng.normal(0.4, 1, size=14)
    signs = np.array(np.meshgrid(*[[-1, 1]] * 14)).reshape(14, -1)
    exact = np.mean(np.abs(differences @ signs) >= abs(differences.sum()) - 1e-12)
    assert sign_flip_p_value(differences, np.arange(14), np.ones(14)) == pytest.approx(exact, abs=0.015)


def test_whole_clusters_flip():
    """Ten pairs of two prompts, all in favour: two flips of four reach as far, so p is a half and not 2 / 2^10."""
    clusters = np.repeat([0, 1], 5)
    assert sign_flip_p_value(np.ones(10), clusters, prompt_weights(clusters)) == 0.5


def test_p_values_are_uniform_when_nothing_differs():
    rng = np.random.default_rng(10)
    p_values = []
    for k in range(400):
        clusters = np.repeat(np.arange(25), 2)
        differences = np.repeat(rng.normal(size=25), 2) + rng.normal(size=50)
        p_values.append(sign_flip_p_value(differences, clusters, prompt_weights(clusters), seed=k, n_flips=199))
    assert kstest(p_values, "uniform").pvalue > 0.01
    assert np.mean(np.array(p_values) <= 0.05) < 0.08


def test_p_value_at_the_ends():
    assert sign_flip_p_value(np.zeros(6), np.arange(6), np.ones(6)) == 1.0
    assert sign_flip_p_value(np.ones(6), np.zeros(6, dtype=int), np.ones(6)) is None
    assert sign_flip_p_value(np.ones(50), np.arange(50), np.ones(50)) == 1 / 10_000


def test_cluster_sums():
    sums, masses = cluster_sums(np.array([1.0, 0.0, 1.0]), np.array([7, 3, 7]), np.array([0.5, 1.0, 0.25]))
    assert sums.tolist() == [0.0, 0.75] and masses.tolist() == [1.0, 0.75]
