"""The tests of a loss hold their stated error rate in simulated worlds, have the power that plans promise, and agree
with slow exact sums."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from rewardsmith.evaluation.betting import Spread, loss_bound, rejects_loss, trinomial_p_value
from rewardsmith.evaluation.budget import bound_after_walk
from rewardsmith.evaluation.result import Verdict

FloatArray = npt.NDArray[np.float64]
ALPHA = 0.05
WORLDS = 2000


def trinomial(rng: np.random.Generator, n: int, flips: float, loss: float, worlds: int = WORLDS) -> FloatArray:
    """[worlds, n] differences of one pair a prompt, with a true mean of -loss."""
    shares = [(flips + loss) / 2, 1 - flips, (flips - loss) / 2]
    return rng.choice(np.array([-1.0, 0.0, 1.0]), size=(worlds, n), p=shares)


def clustered(rng: np.random.Generator, n: int, flips: float, loss: float, worlds: int = WORLDS) -> FloatArray:
    """A prompt that moves does so in some of its pairs: a fifth to all of them, three fifths on average."""
    moved = rng.random((worlds, n)) < flips
    down = rng.random((worlds, n)) < (1 + loss / flips / 0.6) / 2
    size = rng.choice(np.array([0.2, 0.4, 0.6, 0.8, 1.0]), size=(worlds, n))
    return moved * np.where(down, -1.0, 1.0) * size


def skewed(rng: np.random.Generator, n: int, flips: float, loss: float, worlds: int = WORLDS) -> FloatArray:
    """Rare great losses under many small gains: the worst for tests that trust a variance."""
    rare = rng.random((worlds, n)) < flips
    return np.where(rare, -1.0, (flips - loss) / (1 - flips))


@pytest.mark.parametrize("world", [trinomial, clustered, skewed])
@pytest.mark.parametrize(("n", "flips", "budget"), [(150, 0.06, 0.02), (600, 0.03, 0.01), (600, 0.3, 0.05)])
def test_a_true_loss_of_the_budget_is_seldom_certified(
    world: Callable[..., FloatArray], n: int, flips: float, budget: float
) -> None:
    differences = world(np.random.default_rng(7), n, flips, budget)
    false = int(rejects_loss(differences, budget, ALPHA, Spread.of(differences[0, :50])).sum())
    assert _lower_bound(false) <= ALPHA, f"{false} of {WORLDS}"


def test_a_walk_over_correlated_candidates_and_several_sets_holds_too() -> None:
    """Three nested candidates of growing loss, two sets that must both hold: the walk stops at the first failure."""
    rng = np.random.default_rng(3)
    n, budget, flips = 300, 0.02, 0.06
    false = np.zeros(WORLDS, bool)
    alive = np.ones(WORLDS, bool)
    base = [trinomial(rng, n, flips, 0.0) for _ in range(2)]
    for loss in (0.0, budget / 2, budget):
        # The same prompts flip, and more of those that were right become wrong.
        sets = [np.where((b == 0) & (rng.random(b.shape) < loss / (1 - flips)), -1.0, b) for b in base]
        both = np.logical_and(*(rejects_loss(d, budget, ALPHA) for d in sets))
        alive &= both
        if loss >= budget:
            false |= alive
    assert _lower_bound(int(false.sum())) <= ALPHA


def test_what_is_said_of_the_last_candidate_of_a_walk_is_seldom_false() -> None:
    """A safe candidate, then one just within the budget: their own bounds would be false in twice as many runs."""
    rng = np.random.default_rng(13)
    n, budget = 400, 0.05
    losses = (0.0, budget - 1e-9)
    worlds = [trinomial(rng, n, 0.06, loss) for loss in losses]
    passed = [rejects_loss(d, budget, ALPHA) for d in worlds]
    # A bound is below the true loss just where that loss is rejected.
    false = [rejects_loss(d, loss, ALPHA) for d, loss in zip(worlds, losses, strict=True)]
    whole = passed[0] & passed[1]
    alone = np.where(whole, false[1], passed[0] & false[0])
    assert _lower_bound(int(alone.sum())) > ALPHA
    verdict = Verdict(
        set="all",
        budget=budget,
        confidence=95,
        verdict="within",
        bound=0.01,
        difference=0.0,
        ci95=None,
        n_prompts=n,
        flipped=0.06,
    )
    assert bound_after_walk(verdict, whole=False) == budget and bound_after_walk(verdict, whole=True) == 0.01
    told = np.where(whole, false[1], passed[0] & (losses[0] >= budget))
    assert _lower_bound(int(told.sum())) <= ALPHA


def test_a_loss_within_one_set_alone_is_seldom_certified() -> None:
    """Intersection-union: one set is harmless, the other has lost the budget; no correction is needed."""
    rng = np.random.default_rng(5)
    harmless, harmed = trinomial(rng, 800, 0.02, 0.0), trinomial(rng, 400, 0.05, 0.02)
    false = rejects_loss(harmless, 0.02, ALPHA) & rejects_loss(harmed, 0.02, ALPHA)
    assert _lower_bound(int(false.sum())) <= ALPHA


@pytest.mark.parametrize(
    ("n", "flips", "budget", "power"),
    [
        (1000, 0.02, 0.02, 0.96),
        (1000, 0.05, 0.02, 0.66),
        (2000, 0.05, 0.02, 0.92),
        (2000, 0.10, 0.02, 0.76),
        (2000, 0.02, 0.01, 0.75),
        (2000, 0.05, 0.01, 0.45),
    ],
)
def test_power_where_nothing_is_lost(n: int, flips: float, budget: float, power: float) -> None:
    differences = trinomial(np.random.default_rng(11), n, flips, 0.0)
    assert rejects_loss(differences, budget, ALPHA).mean() >= power - 0.01


def test_a_bound_is_where_the_test_turns() -> None:
    differences = trinomial(np.random.default_rng(2), 400, 0.05, 0.0, worlds=1)[0]
    bound = loss_bound(differences)
    assert rejects_loss(differences, bound)
    assert not rejects_loss(differences, bound - 0.0005)
    # Near the usual one-sided bound, and never below it by much.
    usual = 1.645 * differences.std() / math.sqrt(400) - differences.mean()
    assert usual - 0.004 <= bound <= usual + 0.015


def test_a_clear_gain_gives_a_bound_below_zero() -> None:
    rng = np.random.default_rng(1)
    assert loss_bound(rng.choice(np.array([1.0, 0.0]), size=300)) < -0.3


def test_what_changes_nothing_needs_prompts_all_the_same() -> None:
    assert not rejects_loss(np.zeros(20), 0.01)
    assert rejects_loss(np.zeros(1000), 0.01)
    assert loss_bound(np.zeros(5)) > 0.2


@pytest.mark.parametrize(("n", "budget"), [(4, 0.1), (5, 0.2), pytest.param(6, 0.1, marks=pytest.mark.slow)])
def test_the_trinomial_p_value_is_the_sum_over_all_outcomes(n: int, budget: float) -> None:
    """Its level: under every share of flips, the chance of a p-value of at most a is at most a."""
    outcomes = np.array(list(itertools.product((-1.0, 0.0, 1.0), repeat=n)))
    values = {}
    for row in outcomes:
        key = (row.sum(), np.abs(row).sum())
        values.setdefault(key, trinomial_p_value(row, budget))
    p = np.array([values[(row.sum(), np.abs(row).sum())] for row in outcomes])
    for flips in np.linspace(budget, 1.0, 12):
        shares = {-1.0: (flips + budget) / 2, 0.0: 1 - flips, 1.0: (flips - budget) / 2}
        chance = np.prod(np.vectorize(shares.get)(outcomes), axis=1)
        for level in (0.05, 0.2, 0.5):
            assert chance[p <= level].sum() <= level + 1e-6


def test_the_trinomial_p_value_is_for_single_pairs_only() -> None:
    assert trinomial_p_value(np.array([0.5, 0.0]), 0.1) is None
    assert trinomial_p_value(np.array([]), 0.1) is None


def test_both_tests_agree_where_the_answer_is_clear() -> None:
    rng = np.random.default_rng(4)
    safe, bad = trinomial(rng, 600, 0.02, 0.0, 1)[0], trinomial(rng, 600, 0.3, 0.1, 1)[0]
    assert rejects_loss(safe, 0.03) and (trinomial_p_value(safe, 0.03) or 1) < 0.05
    assert not rejects_loss(bad, 0.03) and (trinomial_p_value(bad, 0.03) or 0) > 0.5


def _lower_bound(false: int) -> float:
    """One-sided 99 % Clopper-Pearson."""
    return float(stats.beta.ppf(0.01, false, WORLDS - false + 1)) if false else 0.0
