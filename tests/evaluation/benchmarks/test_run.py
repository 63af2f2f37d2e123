"""A whole benchmark with a scorer that is a lookup: journal, rank, leakage, failures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rewardsmith.errors import DataError, RewardsmithError
from rewardsmith.evaluation.benchmarks import SUITES, journal
from rewardsmith.evaluation.benchmarks.leaderboard import leaderboards, rank_of
from rewardsmith.evaluation.benchmarks.reading import read_suite
from rewardsmith.evaluation.benchmarks.run import run_suite
from rewardsmith.evaluation.benchmarks.suite import Suite
from rewardsmith.preferences.record import Preference, content_hash

Small = tuple[Suite, Path, dict[str, list[dict[str, Any]]]]


class Counting:
    """Rewards by length; counts what it scored and breaks down when its patience ends."""

    def __init__(self, patience: int = 1000) -> None:
        self.scored, self.patience = 0, patience

    def __call__(self, preferences: Sequence[Preference]) -> list[list[float]]:
        if self.scored >= self.patience:
            raise KeyboardInterrupt
        self.scored += len(preferences)
        return [[float(len(str(r))) for r in p.responses] for p in preferences]


def test_every_suite_end_to_end(small: Small) -> None:
    suite, folder, _ = small
    items = read_suite(suite, folder)
    result = run_suite(suite, items, Counting(), model="m")
    assert set(result.sections) == set(suite.sections)
    assert (result.overall is None) == (suite.overall is None)
    assert result.n_rows == len(items) and result.n_seen is None
    assert result.n_responses == sum(len(i.preference.responses) for i in items)
    assert type(result).model_validate_json(result.model_dump_json()) == result


def test_an_interrupted_run_goes_on(small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite, folder, _ = small
    monkeypatch.setattr(journal, "CHUNK", 2)
    items, path = read_suite(suite, folder), tmp_path / "out.rewards.jsonl"
    whole = run_suite(suite, items, Counting(), model="m", model_key="a")
    with pytest.raises(KeyboardInterrupt):
        run_suite(suite, items, Counting(patience=2), model="m", model_key="a", journal=path)
    path.write_text(path.read_text() + '{"key": "torn')
    again, told = Counting(), []
    result = run_suite(suite, items, again, model="m", model_key="a", journal=path, on_progress=told.append)
    assert again.scored == len(items) - 2 and sum(told) == result.n_responses
    assert result.notes == [f"2 of {len(items)} rows had their rewards in {path}"]
    assert result.model_copy(update={"notes": []}) == whole
    # Once more: nothing is left to score, and the torn line between is no fault.
    idle = Counting()
    run_suite(suite, items, idle, model="m", model_key="a", journal=path)
    assert idle.scored == 0
    # Another model finds nothing.
    other = Counting()
    run_suite(suite, items, other, model="n", model_key="b", journal=path)
    assert other.scored == len(items)


def test_a_file_that_is_no_journal_is_left_alone(small: Small, tmp_path: Path) -> None:
    suite, folder, _ = small
    path = tmp_path / "mine.txt"
    path.write_text("dear\ndiary\n")
    with pytest.raises(DataError, match="holds no rewards"):
        run_suite(suite, read_suite(suite, folder), Counting(), model="m", journal=path)
    assert path.read_text() == "dear\ndiary\n"


@pytest.mark.parametrize("bad", [None, [float("nan"), 0.0], [1.0]])
def test_a_failure_is_not_a_score(bad: list[float] | None, small: Small) -> None:
    suite, folder, _ = small
    items = read_suite(suite, folder)

    def scorer(preferences: Sequence[Preference]) -> list[list[float] | None]:
        return [bad, *Counting()(preferences[1:])]

    with pytest.raises(RewardsmithError, match=f"no usable rewards for 1 of {len(items)} rows.*there is no score"):
        run_suite(suite, items, scorer, model="m")


def test_trained_prompts_are_counted(small: Small) -> None:
    suite, folder, _ = small
    items = read_suite(suite, folder)
    key = items[0].preference.prompt_key()
    wanted = sum(i.preference.prompt_key() == key for i in items)
    result = run_suite(suite, items, Counting(), model="m", trained_on=[content_hash(key), "other"])
    assert result.n_seen == wanted
    assert run_suite(suite, items, Counting(), model="m", trained_on=["other"]).n_seen == 0


def test_ranks_among_published_scores() -> None:
    assert set(leaderboards()) == {"rewardbench", "rewardbench2", "rm-bench", "judgebench"} <= set(SUITES)
    for name, board in leaderboards().items():
        scores = sorted(board.scores.values(), reverse=True)
        assert all(40 < s < 100 for s in scores) and board.source and board.date
        top, last = rank_of(name, 0.999), rank_of(name, 0.1)
        assert top and top.position == 1 and top.above is None and top.below and 100 * top.below.score == scores[0]
        assert last and last.position == len(scores) + 1 and last.below is None and last.above
    between = rank_of("rewardbench2", 0.80)
    assert between and between.above and between.below
    assert (between.above.model, between.below.model) == (
        "Skywork-Reward-V2-Llama-3.1-8B",
        "Skywork-Reward-V2-Qwen3-8B",
    )
    assert between.position == 3
    # As printed: 78.17 is 78.2 and no worse than a published 78.2.
    equal = rank_of("rewardbench2", 0.7817)
    assert equal and equal.position == 3 and equal.below and equal.below.model == "Skywork-Reward-V2-Qwen3-8B"
    assert rank_of("llmbar", 0.9) is None
