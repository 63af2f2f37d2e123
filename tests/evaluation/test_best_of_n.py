"""Best-of-n against all subsets one by one, against the theory of order statistics, and on curves that are known."""

from __future__ import annotations

import itertools
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewardsmith.evaluation.best_of_n import (
    Peak,
    best_of_n,
    curve_intervals,
    gains,
    kl_divergence,
    peak_of,
    rank_weights,
    spread_within,
)

REWARDS = st.integers(0, 3).map(float)


def over_all_subsets(proxy: list[float], gold: list[float], n: int) -> float:
    """The mean over all subsets, one by one; what the proxy cannot tell apart is chosen equally often."""
    found = []
    for subset in itertools.combinations(range(len(proxy)), n):
        best = max(proxy[k] for k in subset)
        found.append(np.mean([gold[k] for k in subset if proxy[k] == best]))
    return float(np.mean(found))


@settings(max_examples=60)
@given(st.lists(st.tuples(REWARDS, REWARDS), min_size=1, max_size=7))
def test_equals_the_mean_over_all_subsets(rewards: list[tuple[float, float]]) -> None:
    """Rewards of four values only, so that ties abound."""
    proxy, gold = (list(values) for values in zip(*rewards, strict=True))
    ns = range(1, len(rewards) + 1)
    found = best_of_n(np.array([proxy]), np.array([gold]), ns)[0]
    assert found == pytest.approx([over_all_subsets(proxy, gold, n) for n in ns])


def test_weights_of_ranks_add_up() -> None:
    for n in (1, 5, 500, 1000):
        assert rank_weights(1000, n).sum() == pytest.approx(1)
    assert rank_weights(4, 4).tolist() == [0, 0, 0, 1]
    for n in (0, 5):
        with pytest.raises(ValueError, match="not defined"):
            rank_weights(4, n)


def test_a_perfect_proxy_gains_what_order_statistics_say() -> None:
    """The expected largest of 32 normal draws is 2.0697 standard deviations (Harter 1961)."""
    rewards = np.random.default_rng(0).normal(size=(4000, 32)) * 3 + np.arange(4000)[:, None]
    gain = gains(rewards, rewards, [1, 2, 32]).mean(axis=0)
    assert gain[0] == pytest.approx(0, abs=1e-9)
    assert gain[1:] == pytest.approx([1 / np.sqrt(np.pi), 2.0697], abs=0.02)
    assert spread_within(rewards) == pytest.approx(3, rel=0.02)


def test_a_proxy_that_knows_a_part_gains_its_correlation() -> None:
    rng = np.random.default_rng(1)
    gold = rng.normal(size=(4000, 16))
    proxy = 0.5 * gold + np.sqrt(0.75) * rng.normal(size=gold.shape)
    ns = [2, 4, 16]
    share = gains(proxy, gold, ns).mean(axis=0) / gains(gold, gold, ns).mean(axis=0)
    assert share == pytest.approx([0.5] * 3, abs=0.03)


def test_gold_that_does_not_vary_gains_nothing() -> None:
    assert not gains(np.array([[1.0, 2.0], [3.0, 4.0]]), np.ones((2, 2)), [1, 2]).any()


def test_divergence_is_that_of_the_best_of_n() -> None:
    """Against the sum over a policy of many equally likely responses, whose k-th best is best with a known chance."""
    size = 20_000
    k = np.arange(1, size + 1)
    for n in (1, 2, 7):
        chance = (k / size) ** n - ((k - 1) / size) ** n
        assert kl_divergence(n) == pytest.approx(float((chance * np.log(chance * size)).sum()), abs=2e-3)
    assert kl_divergence(32) == pytest.approx(log(32) - 31 / 32)


def humped(n_prompts: int, slope: float, noise: float, seed: int = 0) -> tuple[np.ndarray, list[int]]:
    """Curves that rise to n = 8 and then change by `slope` for each doubling."""
    ns = [1, 2, 4, 8, 16, 32]
    mean = np.array([0, 1, 2, 3, 3 + slope, 3 + 2 * slope])
    steps = np.random.default_rng(seed).normal(size=(n_prompts, len(ns))) * noise
    return mean + steps, ns


def test_the_peak_of_a_hump_is_found() -> None:
    curves, ns = humped(60, -1.0, 1.0)
    peak = peak_of(curves, ns)
    assert peak.n == 8 and peak.ci95 == (8, 8)
    assert peak.fall == pytest.approx(2, abs=0.6) and peak.chance_of_fall == 1
    assert peak.fall_ci95 is not None and peak.fall_ci95[0] < 2 < peak.fall_ci95[1]


def test_a_curve_that_rises_does_not_fall() -> None:
    curves, ns = humped(60, 1.0, 1.0)
    peak = peak_of(curves, ns)
    assert peak.n == 32 and peak.ci95 == (32, 32)
    assert peak.fall == 0 and peak.chance_of_fall == 0


def test_a_proxy_that_knows_nothing_is_seldom_said_to_fall() -> None:
    """Where the peak is luck, the fall from it is 0 on average, although the highest point lies above the end; its
    interval is above 0 in about one of forty."""
    peaks = []
    for seed in range(80):
        proxy, gold = np.random.default_rng(seed).normal(size=(2, 30, 16))
        peaks.append(peak_of(gains(proxy, gold, range(1, 17)), range(1, 17), seed=seed))
    falls = np.array([p.fall for p in peaks])
    assert abs(falls.mean()) < 3 * falls.std() / np.sqrt(len(falls))
    assert np.mean([p.fall_ci95 is not None and p.fall_ci95[0] > 0 for p in peaks]) < 0.1


def test_one_prompt_has_a_peak_and_no_interval() -> None:
    curves, ns = humped(1, -1.0, 0.0)
    peak = peak_of(curves, ns)
    assert peak == Peak(8, None, None, None, None)
    assert curve_intervals(curves) == [None] * 6


def test_intervals_hold_the_mean() -> None:
    curves, _ = humped(100, -1.0, 1.0)
    low, high = np.array(curve_intervals(curves)).T
    mean = curves.mean(axis=0)
    assert (low < mean).all() and (mean < high).all() and (high - low < 0.5).all()
