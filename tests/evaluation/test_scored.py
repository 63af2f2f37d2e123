"""What a scorer may return, and the file of rewards."""

from __future__ import annotations

import json

import pytest

from rewardsmith.errors import OutputExistsError, RewardsmithError, UserError
from rewardsmith.evaluation.scored import ScoredPreference, name_sets, score_preferences, write_rewards


def test_failures_say_why(preference):
    preferences = [preference(name, [1, 0]) for name in "abcd"]
    nan = float("nan")
    scored = score_preferences(lambda _: [[1, 0], None, [nan, 0.0], [1.0, 2.0, 3.0]], preferences)
    assert [s.rewards for s in scored] == [(1.0, 0.0), None, None, None]
    assert [s.error for s in scored[1:]] == [
        "the scorer returned no rewards",
        "rewards are not finite: [nan, 0.0]",
        "3 rewards for 2 responses",
    ]


def test_a_scorer_that_loses_records_is_an_error(preference):
    with pytest.raises(RewardsmithError, match="1 results for 2 preferences"):
        score_preferences(lambda _: [[1.0, 0.0]], [preference("a", [1, 0]), preference("b", [1, 0])])


def test_the_same_set_name_twice_is_refused():
    with pytest.raises(UserError, match="two sets are called 'test'"):
        name_sets([("test", []), ("other", []), ("test", [])])


def test_rewards_file_keeps_failures_apart(preference, tmp_path):
    path = tmp_path / "deep" / "rewards.jsonl"
    scored = [
        ScoredPreference(preference("a", [1, 0]), (0.5, -0.5)),
        ScoredPreference(preference("b", [1, 0]), None, "out of memory"),
        ScoredPreference(preference("c", [1, 0]), (float("nan"), 0.0)),
    ]
    assert write_rewards(path, scored) == 3
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["rewards"] for row in rows] == [[0.5, -0.5], None, None]
    assert rows[0] == {"id": "a", "domain": "general", "scores": [1, 0], "rewards": [0.5, -0.5], "error": None}
    assert rows[1]["error"] == "out of memory" and rows[2]["error"] is not None
    with pytest.raises(OutputExistsError):
        write_rewards(path, scored)
    assert write_rewards(path, scored[:1], overwrite=True) == 1
