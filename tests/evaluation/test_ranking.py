"""Accuracy, reciprocal rank and tau against slow, obvious counting and scipy."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from rewardsmith.evaluation.pairs import pair_table, prompt_weights
from rewardsmith.evaluation.ranking import (
    accuracy,
    accuracy_over_pairs,
    accuracy_where,
    correctness,
    kendall_tau_b,
    mean_over_prompts,
    reciprocal_rank,
)
from rewardsmith.evaluation.scored import ScoredPreference

pair_rows = st.lists(st.tuples(st.integers(-5, 5), st.integers(0, 4)), min_size=1, max_size=30)


def slow_accuracy(scored: list[ScoredPreference]) -> float:
    shares = defaultdict(list)
    for record in scored:
        p, rewards = record.preference, record.rewards
        assert rewards is not None
        for i in range(len(rewards)):
            for j in range(len(rewards)):
                if p.scores[i] > p.scores[j] and p.responses[i] != p.responses[j]:
                    right = 1.0 if rewards[i] > rewards[j] else 0.5 if rewards[i] == rewards[j] else 0.0
                    shares[p.prompt_key()].append(right)
    return sum(sum(s) / len(s) for s in shares.values()) / len(shares)


def test_accuracy_is_the_slow_loop(noisy_scored):
    scored = noisy_scored(60)
    table = pair_table(scored)
    assert accuracy(table.margins, table.prompts) == pytest.approx(slow_accuracy(scored))


def test_mean_over_prompts_is_not_the_mean_over_pairs(preference):
    """One prompt with three pairs, all wrong, weighs as much as one with a single right pair."""
    scored = [
        ScoredPreference(preference("a", [2, 1, 0]), (0.0, 1.0, 2.0)),
        ScoredPreference(preference("b", [1, 0]), (1.0, 0.0)),
    ]
    table = pair_table(scored)
    assert accuracy(table.margins, table.prompts) == 0.5
    assert accuracy_over_pairs(table.margins) == 0.25


def test_equal_prompts_in_another_spelling_are_one_prompt(preference):
    scored = [
        ScoredPreference(preference("Why?  Tell me", [1, 0], id="1"), (1.0, 0.0)),
        ScoredPreference(preference("why? tell  ME", [1, 0], id="2"), (0.0, 1.0)),
        ScoredPreference(preference("other", [1, 0], id="3"), (1.0, 0.0)),
    ]
    table = pair_table(scored)
    assert table.n_prompts == 2
    assert accuracy(table.margins, table.prompts) == 0.75


def test_equal_rewards_are_half_right():
    assert correctness(np.array([2.0, 0.0, -1.0])).tolist() == [1.0, 0.5, 0.0]


@given(pair_rows, st.randoms(use_true_random=False))
def test_order_of_pairs_does_not_matter(rows, random):
    shuffled = list(rows)
    random.shuffle(shuffled)
    first, second = (
        accuracy(np.array([m for m, _ in r], dtype=float), np.array([p for _, p in r])) for r in (rows, shuffled)
    )
    assert first == pytest.approx(second)


@given(pair_rows)
def test_swapping_all_pairs_gives_the_complement(rows):
    margins, prompts = np.array([m for m, _ in rows], dtype=float), np.array([p for _, p in rows])
    right, wrong = accuracy(margins, prompts), accuracy(-margins, prompts)
    assert right is not None and wrong is not None
    assert right + wrong == pytest.approx(1.0)


@given(st.lists(st.integers(-20, 20), min_size=4, max_size=4), st.integers(-100, 100))
def test_rankings_do_not_see_a_monotone_change_of_rewards(preference, rewards, shift):
    p = preference("q", [3, 1, 2, 0])
    plain = pair_table([ScoredPreference(p, tuple(map(float, rewards)))])
    bent = pair_table([ScoredPreference(p, tuple(math.exp(r / 10) + shift for r in rewards))])
    assert accuracy(plain.margins, plain.prompts) == accuracy(bent.margins, bent.prompts)
    raw, changed = np.array(rewards, dtype=float), np.exp(np.array(rewards) / 10) + shift
    assert kendall_tau_b(raw, np.array(p.scores)) == kendall_tau_b(changed, np.array(p.scores))


@given(st.lists(st.integers(0, 8), min_size=1, max_size=40))
def test_weights_give_each_prompt_the_same_share(prompts):
    weights = prompt_weights(np.array(prompts))
    assert weights.sum() == pytest.approx(1.0)
    for prompt in set(prompts):
        assert weights[np.array(prompts) == prompt].sum() == pytest.approx(1 / len(set(prompts)))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=8))
def test_tau_is_scipys(rows):
    x, y = (np.array(side, dtype=float) for side in zip(*rows, strict=True))
    truth = kendalltau(x, y, variant="b").statistic if len(set(x)) > 1 and len(set(y)) > 1 else None
    assert kendall_tau_b(x, y) == (None if truth is None else pytest.approx(truth))


@pytest.mark.parametrize(
    ("rewards", "scores", "expected"),
    [
        ((3.0, 2.0, 1.0), (2, 1, 0), 1.0),
        ((1.0, 2.0, 3.0), (2, 1, 0), 1 / 3),
        ((1.0, 1.0, 0.0), (2, 1, 0), 1 / 1.5),
        ((1.0, 0.0, 0.5), (1, 1, 0), 1.0),  # two best responses: the better placed counts
        ((0.0, 0.0, 0.0), (1, 1, 1), None),
    ],
)
def test_reciprocal_rank_by_hand(preference, rewards, scores, expected):
    pairs = preference("q", scores).pairs()
    assert reciprocal_rank(rewards, scores, pairs) == (None if expected is None else pytest.approx(expected))


def test_accuracy_where_drops_prompts_that_lose_all_pairs():
    margins, prompts = np.array([1.0, -1.0, -1.0]), np.array([0, 0, 1])
    assert accuracy_where(margins, prompts, np.array([True, False, False])) == 1.0


def test_nothing_has_no_mean():
    nothing = np.array([])
    assert mean_over_prompts(nothing, nothing.astype(int)) is None
    assert accuracy_over_pairs(nothing) is None


@given(st.lists(st.integers(0, 30), min_size=1, max_size=200))
def test_all_right_is_exactly_one(prompts):
    assert mean_over_prompts(np.ones(len(prompts)), np.array(prompts)) == 1.0
