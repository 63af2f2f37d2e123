"""Trivial baselines against values worked out by hand, and against the numbers known of the real data."""

from __future__ import annotations

import numpy as np
import pytest

from rewardsmith.errors import DataError
from rewardsmith.preferences.shortcuts import (
    bag_of_words_wins,
    longer_wins,
    measured,
    pair_table,
    prompt_means,
    sampled,
    shortcut_baselines,
)


def test_accuracy_is_the_mean_over_prompts_with_draws_at_a_half(make):
    records = [
        make("p", "aaa", "b", id="1"),
        make("p", "a", "bb", id="2"),
        make("P ", "a", "b", id="3"),
        make("q", "aa", "b", id="4"),
    ]
    table = pair_table(records)
    assert longer_wins(table).tolist() == [1.0, 0.0, 0.5, 1.0]
    assert prompt_means(longer_wins(table), table.prompts).tolist() == [0.5, 1.0]
    report = shortcut_baselines(records)
    assert (report.longer.accuracy, report.shorter.accuracy) == (0.75, 0.25)
    assert (report.pairs, report.all_pairs, report.prompts) == (4, 4, 2)


def test_bootstrap_interval_is_that_of_the_mean_over_prompts():
    correct = np.tile([1.0, 0.0], 200)
    prompts = np.arange(400)
    interval = measured(correct, prompts)
    # the standard error of a mean of 400 coin flips is 0.025
    assert abs(interval.low - (0.5 - 1.96 * 0.025)) < 0.01
    assert abs(interval.high - (0.5 + 1.96 * 0.025)) < 0.01
    one_prompt = measured(correct, np.zeros(400, dtype=np.int64))
    assert (one_prompt.low, one_prompt.high) == (0.5, 0.5)
    assert measured(correct, prompts) == interval


def test_bag_of_words_finds_a_telling_word_and_nothing_where_there_is_none(make):
    rng = np.random.default_rng(0)

    def words() -> str:
        return " ".join(rng.choice([f"w{k}" for k in range(50)], 12))

    telling = [make(f"p{k}", words() + " indeed", words(), id=str(k)) for k in range(200)]
    assert shortcut_baselines(telling).bag_of_words.accuracy > 0.95
    noise = [make(f"p{k}", words(), words(), id=str(k)) for k in range(400)]
    table = pair_table(noise)
    assert abs(bag_of_words_wins(table).mean() - 0.5) < 0.1


def test_bag_of_words_never_sees_the_prompt_it_is_judged_on(make):
    # every prompt has its own telling word: known within the prompt, useless across prompts
    records = [
        make(f"p{k}", f"good{k} w{k}{n}", f"bad{k} v{k}{n}", id=f"{k}-{n}") for k in range(30) for n in range(10)
    ]
    wins = bag_of_words_wins(pair_table(records))
    assert abs(wins.mean() - 0.5) < 0.05


def test_bag_of_words_is_symmetric(make):
    records = [make(f"p{k}", f"fine word{k}", f"poor word{k + 1}", id=str(k)) for k in range(40)]
    table = pair_table(records)
    turned = pair_table(
        [r.model_copy(update={"responses": r.responses[::-1], "scores": r.scores[::-1]}) for r in records]
    )
    assert bag_of_words_wins(table).tolist() == bag_of_words_wins(turned).tolist()


def test_too_few_prompts_are_undefined_not_zero(make):
    assert shortcut_baselines([make("p", "a", "bb")]).bag_of_words is None
    with pytest.raises(DataError, match="no pair ranks anything"):
        shortcut_baselines([make("p", "a", "b", scores=[1, 1])])


def test_pairs_without_the_plain_answer(make):
    record = make("p", "aaa", "b", "cccc", scores=[1, 0, 0], response_names=["academy", "normal", "business"])
    table = pair_table([record])
    assert table.names == [("academy", "normal"), ("academy", "business")]
    assert table.without({"normal"}).tolist() == [False, True]
    assert shortcut_baselines([record], without={"normal"}).longer.accuracy == 0.0


def test_sampling_keeps_whole_prompts(make):
    records = [make(f"p{k // 4}", id=str(k)) for k in range(400)]
    table = pair_table(records)
    some = sampled(table, seed=0, most=100)
    assert 100 <= len(some) <= 104
    assert set(np.bincount(some.prompts)[np.unique(some.prompts)]) == {4}
    assert sampled(table, seed=0, most=100).prompts.tolist() == some.prompts.tolist()
    assert sampled(table, seed=0, most=400) is table


KNOWN = {"helpful.json": 0.60, "harmless.json": 0.44, "webgpt.json": 0.66}
"""'The longer wins', counted over pairs on the full originals; the files here are parts of them."""


@pytest.mark.parametrize("name", KNOWN)
def test_longer_wins_as_often_as_is_known_of_the_originals(real_data, name):
    from rewardsmith.preferences.reading import load_preferences

    table = pair_table(load_preferences(real_data / name).preferences)
    assert abs(float(longer_wins(table).mean()) - KNOWN[name]) < 0.03


def test_real_domains_are_as_separable_as_is_known(real_data):
    from rewardsmith.preferences.reading import load_preferences

    records = load_preferences(real_data / "domain_specific_preference.json").preferences
    against_plain, words = [], []
    for domain in ("academy", "business", "entertainment", "literature"):
        table = pair_table([r for r in records if r.domain == domain])
        against_plain.append(longer_wins(table)[~table.without({"normal"})].mean())
        words.append(shortcut_baselines([r for r in records if r.domain == domain]).bag_of_words.accuracy)
    assert abs(np.mean(against_plain) - 0.89) < 0.03
    assert all(0.68 < accuracy < 0.86 for accuracy in words)


def test_pairs_of_the_same_words_are_a_coin_toss(make):
    records = [make("p", "a better one", "one better a"), make("q", "yes and no", "no and yes")]
    assert bag_of_words_wins(pair_table(records)).tolist() == [0.5, 0.5]
