"""Verdicts about budgets: what is asked, the differences by prompt, and the three answers."""

from __future__ import annotations

import numpy as np
import pytest

from rewardsmith.errors import UserError
from rewardsmith.evaluation.budget import (
    POOLED,
    Question,
    judge_sets,
    overall,
    parse_budgets,
    prompt_differences,
)
from rewardsmith.evaluation.scored import ScoredPreference
from rewardsmith.preferences.record import Message, Preference


def records(margins: list[list[float]], name: str = "p") -> list[ScoredPreference]:
    """A prompt for each inner list, with a pair for each margin."""
    found = []
    for k, group in enumerate(margins):
        for j, margin in enumerate(group):
            p = Preference(
                id=f"{name}{k}-{j}",
                prompt=[Message(role="user", content=f"{name} {k}")],
                responses=[f"a{j}", f"b{j}"],
                scores=[1.0, 0.0],
            )
            found.append(ScoredPreference.of(p, [margin, 0.0]))
    return found


def test_differences_are_means_over_a_prompts_pairs() -> None:
    before = records([[1.0, 1.0], [1.0], [-1.0]])
    after = records([[1.0, -1.0], [1.0], [2.0]])
    assert sorted(prompt_differences(before, after)) == [-0.5, 0.0, 1.0]


def test_their_order_does_not_follow_the_files() -> None:
    margins = [[float(k % 3 - 1) or 0.5] for k in range(30)]
    before, after = records([[1.0]] * 30), records(margins)
    order = np.random.default_rng(0).permutation(30)
    shuffled = prompt_differences([before[k] for k in order], [after[k] for k in order])
    assert list(shuffled) == list(prompt_differences(before, after))
    assert list(shuffled) != [min(0.0, float(np.sign(m[0])) - 1) / 2 for m in margins]


def test_brier_differences_are_those_of_the_squared_error() -> None:
    before, after = records([[0.3]]), records([[-1.2]])
    error = [(1 - 1 / (1 + np.exp(-m))) ** 2 for m in (0.3, -1.2)]
    assert prompt_differences(before, after, "brier") == pytest.approx([error[0] - error[1]])


def test_the_three_answers() -> None:
    n = 400
    before = records([[1.0]] * n)
    same, worse = before, records([[-1.0 if k % 3 == 0 else 1.0] for k in range(n)])
    slightly = records([[-1.0 if k % 50 == 0 else 1.0] for k in range(n)])
    question = Question.parse(["2"])
    for after, answer in ((same, "within"), (worse, "exceeded"), (slightly, "undecided")):
        (verdict,) = judge_sets({"s": before}, {"s": after}, question)
        assert (verdict.set, verdict.verdict, verdict.n_prompts) == (POOLED, answer, n)
        assert (verdict.bound <= 0.02) == (answer == "within")


def test_every_budget_must_hold() -> None:
    n = 300
    before = {"a": records([[1.0]] * n, "a"), "b": records([[1.0]] * n, "b")}
    after = {"a": before["a"], "b": records([[-1.0 if k % 4 == 0 else 1.0] for k in range(n)], "b")}
    verdicts = judge_sets(before, after, Question.parse(["20", "b=5", "a=5"]))
    assert {v.set: v.verdict for v in verdicts} == {POOLED: "within", "b": "exceeded", "a": "within"}
    assert overall(verdicts) == "exceeded"
    assert overall([v for v in verdicts if v.set != "b"]) == "within"


@pytest.mark.parametrize(
    ("budgets", "fault"),
    [
        (["-1"], "above 0"),
        (["0"], "above 0"),
        (["101"], "at most 100"),
        (["nan"], "above 0"),
        (["one"], "give points"),
        (["1", "2"], "given twice"),
        (["a=1", "a=2"], "given twice"),
        ([], "missing"),
    ],
)
def test_impossible_budgets_are_refused(budgets: list[str], fault: str) -> None:
    with pytest.raises(UserError, match=fault):
        parse_budgets(budgets)


def test_other_impossible_questions_are_refused() -> None:
    with pytest.raises(UserError, match="--confidence 100"):
        Question.parse(["1"], confidence=100)
    with pytest.raises(UserError, match="--metric mse: choose accuracy or brier"):
        Question.parse(["1"], metric="mse")
    with pytest.raises(UserError, match="no set 'helpfull' \\(did you mean 'helpful'"):
        judge_sets({"helpful": []}, {"helpful": []}, Question.parse(["helpfull=1"]))
