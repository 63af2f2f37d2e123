"""Mixing by weight and taking a part: shares, passes, order independence."""

from __future__ import annotations

from collections import Counter

import pytest

from rewardsmith.errors import UserError
from rewardsmith.preferences.mixing import mix_preferences, take_preferences


@pytest.fixture
def sets(make):
    return {name: [make(f"{name}{k}", id=f"{name}{k}") for k in range(count)] for name, count in (("a", 30), ("b", 10))}


def share_of_a(records) -> float:
    return sum(r.id.startswith("a") for r in records) / len(records)


def test_shares_hold_at_every_length(sets):
    mixed = mix_preferences(sets, {"a": 3, "b": 1}, size=200)
    for length in range(1, 201):
        assert abs(share_of_a(mixed[:length]) - 0.75) <= 1.0 / length


def test_each_pass_goes_through_all_records_once_in_a_new_order(sets):
    mixed = [r.id for r in mix_preferences(sets, {"b": 1.0}, size=30)]
    passes = [mixed[:10], mixed[10:20], mixed[20:]]
    assert all(Counter(each) == Counter(r.id for r in sets["b"]) for each in passes)
    assert passes[0] != passes[1] != passes[2]


def test_default_size_is_the_largest_without_repetition(sets):
    mixed = mix_preferences(sets, {"a": 0.5, "b": 0.5})
    assert len(mixed) == 20
    assert max(Counter(r.id for r in mixed).values()) == 1
    everything = mix_preferences(sets)
    assert Counter(r.id for r in everything) == Counter(r.id for records in sets.values() for r in records)


def test_depends_on_the_seed_and_not_on_the_order(sets):
    turned = {name: records[::-1] for name, records in sets.items()}
    assert mix_preferences(sets, size=50) == mix_preferences(turned, size=50)
    assert mix_preferences(sets, size=50) != mix_preferences(sets, size=50, seed=1)


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        ({"aa": 1}, r"no set 'aa'"),
        ({"a": 0}, "must be positive"),
        ({"a": float("nan")}, "must be positive"),
        ({"none": 1}, "is empty"),
        ({}, "no set to mix"),
    ],
)
def test_refuses_what_cannot_be_mixed(sets, weights, reason):
    with pytest.raises(UserError, match=reason):
        mix_preferences({**sets, "none": []}, weights)


def test_a_smaller_part_lies_in_a_larger_one(sets):
    ids = [[r.id for r in take_preferences(sets["a"], amount)] for amount in (5, 0.5, 1.0, 100)]
    assert [len(each) for each in ids] == [5, 15, 30, 30]
    assert set(ids[0]) < set(ids[1]) < set(ids[2])
    assert ids[1] == sorted(ids[1], key=lambda name: int(name[1:]))
    assert ids[0] != [r.id for r in take_preferences(sets["a"], 5, seed=1)]


@pytest.mark.parametrize("amount", [-1, 1.5, -0.1, float("nan")])
def test_refuses_impossible_amounts(sets, amount):
    with pytest.raises(UserError, match="cannot take"):
        take_preferences(sets["a"], amount)
