"""Splits: whole groups, stable under reordering and additions, shares as asked."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewardsmith.errors import DataError, UserError
from rewardsmith.preferences.record import Message, Preference
from rewardsmith.preferences.splitting import split_preferences

SHARES = {"train": 0.6, "validation": 0.15, "test": 0.25}


def record(number: int, prompt: str, annotator: str | None = None) -> Preference:
    turns = [Message(role="user", content=prompt)]
    return Preference(id=str(number), prompt=turns, responses=["a", "b"], scores=[1, 0], annotator=annotator)


def place(parts: dict[str, list[Preference]]) -> dict[str, str]:
    return {p.id: name for name, records in parts.items() for p in records}


@settings(max_examples=50)
@given(st.lists(st.text("abc ", min_size=1, max_size=4), min_size=1, max_size=30), st.randoms(), st.integers(0, 5))
def test_stable_under_reordering_and_additions(prompts, random, seed):
    records = [record(k, prompt) for k, prompt in enumerate(prompts)]
    where = place(split_preferences(records, SHARES, seed=seed))
    random.shuffle(records)
    assert place(split_preferences(records, SHARES, seed=seed)) == where
    more = place(split_preferences([*records, record(999, "new one")], SHARES, seed=seed))
    assert {name: part for name, part in more.items() if name != "999"} == where


def test_a_prompt_is_never_in_two_parts_however_it_is_spelt():
    spellings = ["Why is it?", "why  is it?", " WHY\nis it? "]
    records = [record(k, spellings[k % 3]) for k in range(9)]
    parts = split_preferences(records, SHARES)
    assert sorted(len(part) for part in parts.values()) == [0, 0, 9]


def test_shares_are_met_and_seeds_differ():
    records = [record(k, f"prompt {k}") for k in range(4000)]
    parts = split_preferences(records, SHARES)
    for name, share in SHARES.items():
        # binomial standard error of a share of 4000 groups is below 0.008
        assert abs(len(parts[name]) / 4000 - share) < 0.03
    assert [p.id for p in parts["train"]] == sorted((p.id for p in parts["train"]), key=int)
    assert place(split_preferences(records, SHARES, seed=1)) != place(parts)


def test_by_annotator():
    records = [record(k, f"prompt {k}", annotator=f"ann{k % 7}") for k in range(70)]
    parts = split_preferences(records, {"a": 0.5, "b": 0.5}, by="annotator")
    assert not {p.annotator for p in parts["a"]} & {p.annotator for p in parts["b"]}
    with pytest.raises(DataError, match="record 5: it names no annotator"):
        split_preferences([record(5, "q")], {"a": 1.0}, by="annotator")


@pytest.mark.parametrize("shares", [{"a": 0.5}, {"a": 1.5, "b": -0.5}, {}])
def test_refuses_shares_that_do_not_add_up(shares):
    with pytest.raises(UserError, match="add up to 1"):
        split_preferences([], shares)


def test_the_real_dsp_file_keeps_a_query_together(real_data):
    from rewardsmith.preferences.reading import load_preferences

    parts = split_preferences(load_preferences(real_data / "domain_specific_preference.json"), SHARES)
    prompts = [{p.prompt_key() for p in part} for part in parts.values()]
    assert sum(map(len, prompts)) == len(set.union(*prompts)) == 479
    assert all(len(part) == 4 * len(keys) for part, keys in zip(parts.values(), prompts, strict=True))
