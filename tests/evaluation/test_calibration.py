"""Probabilities against sklearn, and the calibration error against what is known to be true."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from rewardsmith.evaluation.calibration import (
    confidence_bins,
    debiased_ece,
    debiased_ece_interval,
    margin_histogram,
    negative_log_likelihood,
    plain_ece,
    reliability,
    sigmoid,
    squared_calibration_error,
    squared_error,
)
from rewardsmith.evaluation.pairs import prompt_weights


def calibrated_margins(n: int, rng: np.random.Generator, *, spread: float = 1.5) -> np.ndarray:
    """Margins whose sign is right with probability sigmoid(|margin|)."""
    size = np.abs(rng.normal(scale=spread, size=n))
    return np.where(rng.random(n) < 1 / (1 + np.exp(-size)), size, -size)


def test_nll_and_brier_are_sklearns_in_either_orientation():
    rng = np.random.default_rng(0)
    margins, flip = rng.normal(scale=2, size=400), rng.random(400) < 0.5
    probability = 1 / (1 + np.exp(-np.where(flip, -margins, margins)))
    assert negative_log_likelihood(margins).mean() == pytest.approx(log_loss(~flip, probability))
    assert squared_error(margins).mean() == pytest.approx(brier_score_loss(~flip, probability))


def test_huge_margins_stay_finite():
    margins = np.array([-1e4, 1e4])
    assert negative_log_likelihood(margins).tolist() == [1e4, 0.0]
    assert sigmoid(margins).tolist() == [0.0, 1.0]


def test_bins_have_equal_mass_and_keep_equal_margins_together():
    rng = np.random.default_rng(1)
    margins = np.concatenate([rng.normal(size=600), np.full(200, 0.5), np.full(100, -0.5)])
    n = len(margins)
    bins = confidence_bins(margins, prompt_weights(np.arange(n)), np.arange(n))
    assert len(set(bins[600:])) == 1
    assert bins.max() + 1 <= 15 and np.bincount(bins).min() >= 30
    steady = confidence_bins(margins[:600], prompt_weights(np.arange(600)), np.arange(600))
    assert np.bincount(steady).tolist() == [40] * 15


def test_debiased_error_is_the_mean_product_over_pairs_from_different_clusters():
    rng = np.random.default_rng(2)
    margins, prompts = rng.normal(size=60), rng.integers(0, 30, size=60)
    weights = prompt_weights(prompts)
    bins = confidence_bins(margins, weights, prompts)
    gap = (margins > 0) - 1 / (1 + np.exp(-np.abs(margins)))
    square = 0.0
    for b in set(bins):
        products = masses = 0.0
        for i in np.flatnonzero(bins == b):
            for j in np.flatnonzero(bins == b):
                if prompts[i] != prompts[j]:
                    products += weights[i] * gap[i] * weights[j] * gap[j]
                    masses += weights[i] * weights[j]
        square += weights[bins == b].sum() * products / masses
    assert debiased_ece(margins, weights, prompts) == pytest.approx(np.sqrt(max(0.0, square)))


def test_a_calibrated_model_has_far_less_error_after_debiasing():
    rng = np.random.default_rng(3)
    clusters = np.arange(300)
    weights = prompt_weights(clusters)
    worlds = [calibrated_margins(300, rng) for _ in range(400)]
    plain = np.mean([plain_ece(m, weights, clusters) for m in worlds])
    squares = np.array([squared_calibration_error(m, weights, clusters) for m in worlds])
    assert plain > 0.05  # the floor of noise that the plain figure reports as error
    assert abs(squares.mean()) < 3 * squares.std() / np.sqrt(len(squares)) < 0.001


def test_dependent_pairs_do_not_pass_for_miscalibration():
    """Every pair of a prompt is the same pair four times: only the clusters know that there are 75 and not 300."""
    rng = np.random.default_rng(4)
    clusters = np.repeat(np.arange(75), 4)
    weights = prompt_weights(clusters)
    worlds = [np.repeat(calibrated_margins(75, rng), 4) for _ in range(80)]
    aware = np.mean([(debiased_ece(m, weights, clusters) or 0.0) for m in worlds])
    blind = np.mean([(debiased_ece(m, weights, np.arange(300)) or 0.0) for m in worlds])
    assert aware < 0.6 * blind


def test_overconfidence_is_found_at_its_true_size():
    rng = np.random.default_rng(5)
    margins = calibrated_margins(20_000, rng)
    size = np.abs(margins)
    truth = np.sqrt(np.mean((1 / (1 + np.exp(-3 * size)) - 1 / (1 + np.exp(-size))) ** 2))
    clusters = np.arange(len(margins))
    assert debiased_ece(3 * margins, prompt_weights(clusters), clusters) == pytest.approx(truth, rel=0.05)


def test_a_constant_reward_is_perfectly_calibrated_and_knows_nothing():
    clusters = np.arange(50)
    assert debiased_ece(np.zeros(50), prompt_weights(clusters), clusters) == 0.0
    assert squared_error(np.zeros(50)).mean() == 0.25


def test_surely_wrong_is_an_error_of_one():
    clusters = np.arange(70)
    weights = prompt_weights(clusters)
    assert debiased_ece(np.full(70, -500.0), weights, clusters) == 1.0
    assert [(b.confidence, b.accuracy) for b in reliability(np.full(70, 500.0), weights, clusters)] == [(1.0, 1.0)]


def test_one_cluster_has_no_calibration_error():
    margins, clusters = np.array([1.0, 2.0]), np.array([0, 0])
    assert debiased_ece(margins, prompt_weights(clusters), clusters) is None
    assert reliability(margins, prompt_weights(clusters), clusters)[0].standard_error is None


def test_reliability_rises_with_confidence_and_counts_all_pairs():
    rng = np.random.default_rng(6)
    margins = calibrated_margins(3000, rng)
    clusters = np.arange(3000)
    bins = reliability(margins, prompt_weights(clusters), clusters)
    assert sum(b.n_pairs for b in bins) == 3000
    assert [b.confidence for b in bins] == sorted(b.confidence for b in bins)
    for b in bins:
        assert b.standard_error == pytest.approx(np.sqrt(b.accuracy * (1 - b.accuracy) / b.n_pairs), rel=0.01)
        assert abs(b.accuracy - b.confidence) < 5 * b.standard_error


def test_histogram_has_an_edge_at_zero_and_loses_nobody():
    margins = np.concatenate([np.random.default_rng(7).normal(size=500), [80.0, -90.0]])
    edges, counts = margin_histogram(margins)
    assert 0.0 in np.round(edges, 12) and sum(counts) == 502 and edges[-1] < 10
    assert margin_histogram(np.array([])) == ([], [])
    assert sum(margin_histogram(np.zeros(5))[1]) == 5


def test_the_interval_of_the_error_holds_the_truth():
    """Overconfident by a factor of three, and not at all: nine in ten intervals or more hold the true error."""
    rng = np.random.default_rng(8)
    size = np.abs(rng.normal(scale=1.5, size=100_000))
    for factor in (3.0, 1.0):
        truth = np.sqrt(np.mean((sigmoid(factor * size) - sigmoid(size)) ** 2))
        held = []
        for seed in range(20):
            margins, clusters = factor * calibrated_margins(300, rng), np.arange(300)
            low, high = debiased_ece_interval(margins, prompt_weights(clusters), clusters, seed=seed, n_resamples=60)
            held.append(low <= truth <= high)
        assert np.mean(held) >= 0.9
    assert debiased_ece_interval(np.ones(2), np.full(2, 0.5), np.zeros(2, np.int64)) is None
