"""Items: what is grouped, what is left out, what is imitated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rewardsmith.batching.items import Judgement, build_items
from rewardsmith.batching.tokenizing import ConversationTokenizer
from rewardsmith.preferences.record import Message, Preference


@pytest.fixture(scope="module")
def text(make_tokenizer: Callable[..., Any]) -> ConversationTokenizer:
    return ConversationTokenizer(make_tokenizer(), 64)


def _preference(scores: list[float], name: str = "a", prompt: str = "Why?", **fields: Any) -> Preference:
    responses = fields.pop("responses", [f"response {k}" for k in range(len(scores))])
    return Preference(
        id=name, prompt=[Message(role="user", content=prompt)], responses=responses, scores=scores, **fields
    )


def test_a_text_judged_by_several_domains_is_one_item(text: ConversationTokenizer) -> None:
    judged = [_preference([1, 0, 0], "a", domain="academy"), _preference([0, 1, 0], "b", domain="business", margin=0.5)]
    items, counts = build_items(judged, text, ["academy", "business"])
    (item,) = items
    assert [(j.output, j.margin, j.record) for j in item.judgements] == [(0, 0.0, "a"), (1, 0.5, "b")]
    assert item.pairs(item.judgements[1]) == [(1, 0), (1, 2)]
    assert (counts.preferences, counts.items, counts.ranking, counts.ranking_nothing) == (2, 1, 2, 0)
    assert counts.tokens == item.tokens


def test_general_preferences_judge_every_output(text: ConversationTokenizer) -> None:
    (item,), _ = build_items([_preference([1, 0])], text, ["academy", "business"], general=True)
    assert [j.output for j in item.judgements] == [0, 1] and item.general


@pytest.mark.parametrize(
    "preference",
    [_preference([1, 1]), _preference([1, 0], responses=["same", "same"])],
    ids=["tie", "identical"],
)
def test_what_ranks_nothing_is_left_out_and_counted(text: ConversationTokenizer, preference: Preference) -> None:
    items, counts = build_items([preference, _preference([1, 0], "b", "How?")], text, ["general"])
    assert len(items) == 1 and counts.ranking_nothing == 1


def test_ties_can_be_kept_but_not_identical_texts(text: ConversationTokenizer) -> None:
    kept, _ = build_items([_preference([1, 1])], text, ["general"], keep_ties=True)
    assert kept[0].ties(kept[0].judgements[0]) == [(0, 1)]
    same = _preference([1, 1], responses=["same", "same"])
    assert not build_items([same], text, ["general"], keep_ties=True)[0]


def test_cutting_can_make_two_responses_the_same(text: ConversationTokenizer) -> None:
    long = "word " * 200
    items, counts = build_items([_preference([1, 0], responses=[long + "end", long + "other"])], text, ["general"])
    assert not items and counts.ranking_nothing == 1 and counts.responses_cut == 1
    _, counts = build_items([_preference([1, 0], prompt=long)], text, ["general"])
    assert counts.prompts_cut == 1 and counts.ranking == 1


@pytest.mark.parametrize(
    ("scores", "wanted"),
    [
        ((1.0, 0.0), [True, False]),
        ((1.0, 0.9, 0.5), [True, True, False]),
        ((1.0, 0.85), [True, False]),
        ((0.0, -1.0), [True, False]),
        ((-1.0, -2.0), [True, False]),
        ((1.0, 1.0), [False, False]),
    ],
)
def test_the_best_and_what_is_nearly_as_good_is_imitated(scores: tuple[float, ...], wanted: list[bool]) -> None:
    assert Judgement(scores, 0, 0.0, "a").imitated() == wanted
