"""Reviews: blind and reproducible, durable, applied; agreement against scikit-learn and a brute-force alpha."""

from __future__ import annotations

import io
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from rich.console import Console
from sklearn.metrics import cohen_kappa_score

from rewardsmith.collection.review.agreement import bootstrap_interval, cohens_kappa, krippendorffs_alpha
from rewardsmith.collection.review.exchange import export_pairs, import_reviews
from rewardsmith.collection.review.keyboard import TerminalKeyboard
from rewardsmith.collection.review.screen import printable, review
from rewardsmith.collection.review.verdicts import (
    Review,
    ReviewFile,
    agreement,
    apply_reviews,
    sample_pairs,
    write_reviewed,
)
from rewardsmith.errors import DataError, UserError
from rewardsmith.preferences.reading import load_preferences
from rewardsmith.preferences.record import Message, Preference
from rewardsmith.preferences.writing import write_preferences

RECORDS = [
    Preference(
        id=f"q{k}-academy",
        prompt=[Message(role="user", content=f"Question {k}?")],
        responses=[f"own {k}", f"other {k}", f"plain {k}"],
        scores=[1.0, 0.0, 0.0],
        domain="academy",
        response_names=["academy", "business", "normal"],
    )
    for k in range(12)
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_preferences(RECORDS, tmp_path / "preferences.jsonl")
    return tmp_path


def typed(keys: str, pairs, file: ReviewFile) -> tuple[int, str]:
    """Reviews with these keys pressed at a real prompt_toolkit session; what was shown."""
    shown = io.StringIO()
    with create_pipe_input() as pipe:
        pipe.send_text(keys)
        n = review(pairs, file, Console(file=shown, width=100), TerminalKeyboard(pipe, DummyOutput()))
    return n, shown.getvalue()


def test_pairs_are_drawn_by_hash_and_shown_on_either_side() -> None:
    pairs = sample_pairs(RECORDS, 8)
    assert sample_pairs(list(reversed(RECORDS)), 12)[:8] == pairs
    assert {p.shown_swapped for p in pairs} == {True, False}
    assert all(p.texts[0].startswith("own") for p in pairs)


def test_keys_become_verdicts_and_an_interruption_goes_on(folder: Path) -> None:
    pairs, file = sample_pairs(RECORDS, 4), ReviewFile(folder, "ann")
    assert typed("1tq", pairs, file)[0] == 2
    found = file.read()
    assert found[pairs[0].id].verdict == ("second" if pairs[0].shown_swapped else "first")
    assert found[pairs[1].id].verdict == "tie"
    n, shown = typed("x?2s", pairs, file)  # other keys do nothing
    assert n == 2 and "3 of 4" in shown and f"Question {pairs[0].record[1:].split('-')[0]}?" not in shown
    assert file.read()[pairs[3].id].verdict == "skip" and len(file.read()) == 4
    assert typed("", pairs, file)[0] == 0


def test_undo_and_edit(folder: Path) -> None:
    pairs, file = sample_pairs(RECORDS, 2), ReviewFile(folder, "ann")
    typed("1u2e1\x7f\x7fnew\x1b\rq", pairs, file)
    first, second = (file.read()[p.id] for p in pairs)
    assert first.verdict == ("first" if pairs[0].shown_swapped else "second")
    text = pairs[1].texts[1 if pairs[1].shown_swapped else 0]
    assert second.edited == text[:-2] + "new"


def test_a_torn_line_is_owed_again(folder: Path) -> None:
    file = ReviewFile(folder, "ann")
    file.add([Review(pair="a", verdict="tie"), Review(pair="b", verdict="first")])
    file.path.write_bytes(file.path.read_bytes()[:-9])
    assert set(file.read()) == {"a"}
    file.add([Review(pair="b", verdict="second")])
    assert file.read()["b"].verdict == "second"
    file.path.write_text('{"pair": "a"}\n{"pair": "b", "verdict": "tie"}\n')
    with pytest.raises(DataError, match="line 1"):
        file.read()


def test_verdicts_change_only_what_they_are_about() -> None:
    pair = sample_pairs(RECORDS, 1)[0]
    record = next(r for r in RECORDS if r.id == pair.record)
    other = next(t for k, t in enumerate(record.responses) if k not in (pair.chosen, pair.rejected))
    (same,) = apply_reviews([record], [Review(pair=pair.id, verdict="first")])
    assert same == record
    left, flipped = apply_reviews([record], [Review(pair=pair.id, verdict="second")])
    assert set(left.responses) == {pair.texts[0], other} and left.scores == [1.0, 0.0]
    assert flipped.responses == [*pair.texts] and flipped.scores == [0.0, 1.0]
    _, edited = apply_reviews([record], [Review(pair=pair.id, verdict="first", edited="better")])
    assert edited.responses == ["better", pair.texts[1]] and edited.scores == [1.0, 0.0]
    assert apply_reviews(RECORDS, [Review(pair=pair.id, verdict="skip")]) == RECORDS


def test_reviewed_file_takes_the_majority(folder: Path) -> None:
    pairs = sample_pairs(RECORDS, 3)
    for name, verdicts in {"ann": "second tie first", "bob": "second first second", "cyd": "first first tie"}.items():
        ReviewFile(folder, name).add(
            [Review(pair=p.id, verdict=v) for p, v in zip(pairs, verdicts.split(), strict=True)]  # type: ignore[arg-type]
        )
    found = write_reviewed(folder, pairs)
    assert (found.reviewers["ann"].agrees, found.reviewers["ann"].contradicts, found.reviewers["ann"].ties) == (1, 1, 1)
    reviewed = {p.id: p for p in load_preferences(folder / "reviewed.jsonl").preferences}
    made = [p for name, p in reviewed.items() if "reviewed" in name]
    assert sorted(tuple(p.scores) for p in made) == [(0.0, 1.0), (0.5, 0.5)]  # flipped by two; three ways: a tie


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=30))
def test_kappa_is_scikit_learns(pairs: list[tuple[str, str]]) -> None:
    a, b = zip(*pairs, strict=True)
    ours = cohens_kappa(a, b)
    with np.errstate(all="ignore"):
        theirs = cohen_kappa_score(a, b) if len({*a, *b}) > 1 else float("nan")
    assert (ours is None and np.isnan(theirs)) or ours == pytest.approx(theirs)


@given(st.lists(st.lists(st.sampled_from(["x", "y", "z", None]), min_size=6, max_size=6), min_size=2, max_size=4))
def test_alpha_is_one_minus_observed_over_expected_disagreement(ratings: list[list[str | None]]) -> None:
    """Brute force over all pairable values, as the definition has it."""
    units = [[v for v in unit if v is not None] for unit in zip(*ratings, strict=True)]
    units = [u for u in units if len(u) > 1]
    values = [v for u in units for v in u]
    n = len(values)
    expected = sum(a != b for a, b in itertools.permutations(values, 2)) / (n * (n - 1)) if n > 1 else 0
    observed = sum(sum(a != b for a, b in itertools.permutations(u, 2)) / (len(u) - 1) for u in units) / n if n else 0
    ours = krippendorffs_alpha(ratings)
    assert ours is None if expected == 0 else ours == pytest.approx(1 - observed / expected)


def test_alpha_of_krippendorffs_own_example() -> None:
    """The nominal example of Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", part C: 0.743."""
    gap = None
    ratings = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, gap, gap, gap],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, gap, 3],
        [gap, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, gap],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, gap],
    ]
    assert krippendorffs_alpha(ratings) == pytest.approx(0.743, abs=5e-4)


def test_random_verdicts_give_a_kappa_about_zero() -> None:
    rng = np.random.default_rng(0)
    pairs = sample_pairs([r.model_copy(update={"id": f"{r.id}{k}"}) for k in range(20) for r in RECORDS], 200)
    reviews = {p.id: Review(pair=p.id, verdict=("first", "second")[rng.integers(2)]) for p in pairs}
    figures = agreement(pairs, {"ann": reviews}).reviewers["ann"]
    assert abs(figures.kappa or 9) < 0.2
    assert figures.kappa_ci95 is not None and figures.kappa_ci95[0] < 0 < figures.kappa_ci95[1]
    assert bootstrap_interval(krippendorffs_alpha, [["a"], ["a"]], ["one"]) is None


@pytest.mark.parametrize("tool", ["argilla", "label-studio"])
def test_exchange(tmp_path: Path, tool: str) -> None:
    """What goes out says nothing of what the data prefer, and what comes back is read as people saw it."""
    pairs = sample_pairs(RECORDS, 4)
    rows = export_pairs(pairs, tool)
    for k, (row, pair) in enumerate(zip(rows, pairs, strict=True)):
        shown = row["fields"] if tool == "argilla" else row["data"]
        assert shown["response-1"] == pair.texts[1 if pair.shown_swapped else 0]
        value = ["1", "2", "tie", "1"][k]
        if tool == "argilla":
            row["responses"] = {"better": [{"value": value, "user_id": "ann", "status": "submitted"}]}
        else:
            row["annotations"] = [
                {"completed_by": {"email": "ann"}, "result": [{"from_name": "better", "value": {"choices": [value]}}]}
            ]
    file = tmp_path / "back.json"
    file.write_text(json.dumps(rows))
    (found,) = import_reviews(file, pairs, tool).values()
    expected = ["second" if p.shown_swapped else "first" for p in pairs]
    expected[1] = "first" if pairs[1].shown_swapped else "second"
    expected[2] = "tie"
    assert [r.verdict for r in found] == expected
    file.write_text("[{}]")
    with pytest.raises(DataError, match="record 1"):
        import_reviews(file, pairs, tool)
    with pytest.raises(UserError, match="did you mean"):
        export_pairs(pairs, tool + "s")


def test_control_characters_are_shown_and_not_obeyed() -> None:
    assert printable("a\x1b[2Jb\r\nc\td") == "a\\x1b[2Jb\\x0d\nc\td"
