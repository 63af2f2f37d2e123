"""The embedded sample holds what it promises: neither length nor single words give the answer away, nothing repeats."""

from __future__ import annotations

import statistics

import pytest

from rewardsmith.errors import UserError
from rewardsmith.preferences.duplicates import near_duplicates
from rewardsmith.preferences.reading import load_preferences
from rewardsmith.preferences.record import Preference
from rewardsmith.preferences.sample import located, sample_path
from rewardsmith.preferences.shortcuts import ShortcutReport, shortcut_baselines


@pytest.fixture(scope="module")
def domains() -> dict[str, list[Preference]]:
    """The four domains' preferences over the same queries."""
    found: dict[str, list[Preference]] = {}
    for preference in load_preferences(located("sample:domains")).preferences:
        found.setdefault(preference.domain, []).append(preference)
    return found


@pytest.fixture(scope="module")
def general() -> list[Preference]:
    return load_preferences(located("sample:general")).preferences


@pytest.fixture(scope="module")
def shortcuts(domains: dict[str, list[Preference]]) -> dict[str, ShortcutReport]:
    return {name: shortcut_baselines(preferences) for name, preferences in domains.items()}


def _texts(domains: dict[str, list[Preference]]) -> list[str]:
    return [r for p in next(iter(domains.values())) for r in p.responses if isinstance(r, str)]


def test_at_least_a_hundred_queries_answered_for_four_domains_and_plainly(domains: dict[str, list[Preference]]) -> None:
    assert len(domains) == 4
    queries = {name: {p.prompt_key() for p in preferences} for name, preferences in domains.items()}
    first = next(iter(queries.values()))
    assert len(first) >= 100 and all(found == first for found in queries.values())
    for name, preferences in domains.items():
        for p in preferences:
            assert p.response_names is not None and set(p.response_names) == {*domains, "normal"}
            best = max(range(len(p.scores)), key=p.scores.__getitem__)
            assert p.response_names[best] == name and sorted(p.scores) == [0.0] * 4 + [1.0]


def test_every_answer_has_40_to_90_words(domains: dict[str, list[Preference]]) -> None:
    lengths = [len(text.split()) for text in _texts(domains)]
    assert min(lengths) >= 40 and max(lengths) <= 90


def test_no_two_answers_are_nearly_the_same(domains: dict[str, list[Preference]], general: list[Preference]) -> None:
    texts = _texts(domains) + [r for p in general for r in p.responses if isinstance(r, str)]
    assert near_duplicates(texts, 0.5) == []


def test_length_gives_nothing_away(shortcuts: dict[str, ShortcutReport]) -> None:
    for name, report in shortcuts.items():
        assert 0.4 <= report.longer.accuracy <= 0.6, name


def test_single_words_do_not_give_the_answer_away(shortcuts: dict[str, ShortcutReport]) -> None:
    accuracies = {name: r.bag_of_words.accuracy for name, r in shortcuts.items() if r.bag_of_words is not None}
    assert len(accuracies) == 4 and max(accuracies.values()) <= 0.85, accuracies
    assert statistics.mean(accuracies.values()) <= 0.8, accuracies


def test_general_pairs(general: list[Preference]) -> None:
    assert len(general) >= 200
    assert all(len(p.responses) == 2 and p.pairs() for p in general)
    assert len({p.prompt_key() for p in general}) >= 0.95 * len(general)
    assert 0.4 <= shortcut_baselines(general).longer.accuracy <= 0.6


def test_an_unknown_sample() -> None:
    with pytest.raises(UserError, match=r"did you mean 'domains'\?"):
        sample_path("sample:domain")
    assert located("file.jsonl") == "file.jsonl"
