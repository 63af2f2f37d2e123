"""Paired comparisons of two models."""

from __future__ import annotations

import pytest

from rewardsmith.errors import UserError
from rewardsmith.evaluation import ScoredPreference, compare_all, compare_models, summarise


def test_difference_is_that_of_the_accuracies(noisy_scored):
    a, b = noisy_scored(150, skill=2.0, seed=1), noisy_scored(150, skill=0.3, seed=2)
    comparison = compare_models(a, b, set_name="s", names=("strong", "weak"))
    strong, weak = (summarise("m", {"s": x}, baselines=False).sets["s"].accuracy for x in (a, b))
    assert comparison.difference == pytest.approx(strong - weak)
    assert comparison.ci95[0] < comparison.difference < comparison.ci95[1]
    assert comparison.ci95[0] > 0 and comparison.p_value < 0.001
    assert (comparison.model_a, comparison.model_b, comparison.set) == ("strong", "weak", "s")


def test_swapping_the_models_swaps_the_sign(noisy_scored):
    a, b = noisy_scored(60, seed=1), noisy_scored(60, seed=2)
    forth, back = compare_models(a, b, set_name="s"), compare_models(b, a, set_name="s")
    assert forth.difference == pytest.approx(-back.difference)
    assert forth.p_value == pytest.approx(back.p_value)


def test_records_are_matched_by_id_and_not_by_place(noisy_scored):
    a, b = noisy_scored(60, seed=1), noisy_scored(60, seed=2)
    assert compare_models(a, b, set_name="s") == compare_models(a, b[::-1], set_name="s")


def test_a_model_does_not_differ_from_itself(noisy_scored):
    a = noisy_scored(30)
    comparison = compare_models(a, a, set_name="s")
    assert comparison.difference == 0.0 and comparison.p_value == 1.0 and comparison.ci95 is None
    assert comparison.notes == ["ci95 is undefined: the difference is the same for every prompt"]


def test_what_either_model_failed_on_is_left_out(noisy_scored):
    a, b = noisy_scored(30, seed=1), noisy_scored(30, seed=2)
    failed_a = [ScoredPreference(a[0].preference, None, "failed"), *a[1:]]
    failed_b = [*b[:-1], ScoredPreference(b[-1].preference, (float("nan"),) * len(b[-1].preference.responses))]
    comparison = compare_models(failed_a, failed_b, set_name="s")
    assert comparison.n_left_out == 2
    assert comparison.difference == compare_models(a[1:-1], b[1:-1], set_name="s").difference


def test_other_data_are_refused(noisy_scored):
    a = noisy_scored(10)
    with pytest.raises(UserError, match="set 's': one model has"):
        compare_models(a, a[1:], set_name="s")
    with pytest.raises(UserError, match="meets another record"):
        compare_models(a, noisy_scored(10, data_seed=0)[:-1] + noisy_scored(12)[-1:], set_name="s")


def test_nothing_to_compare(preference):
    one = [ScoredPreference(preference("q", [1, 0]), (1.0, 0.0))]
    empty, single = compare_models([], [], set_name="s"), compare_models(one, one, set_name="s")
    assert (empty.difference, empty.ci95, empty.p_value) == (None, None, None)
    assert single.difference == 0.0 and single.p_value is None
    assert "undefined" in empty.notes[0] and "undefined" in single.notes[0]


def test_every_two_models_on_every_shared_set(noisy_scored):
    x = noisy_scored(10)
    found = compare_all({"a": {"s": x, "t": x}, "b": {"s": x, "t": x}, "c": {"t": x}})
    assert [(c.model_a, c.model_b, c.set) for c in found] == [
        ("b", "a", "s"),
        ("b", "a", "t"),
        ("c", "a", "t"),
        ("c", "b", "t"),
    ]


def test_with_a_reference_every_other_model_is_compared_with_it_alone(noisy_scored):
    x = noisy_scored(10)
    found = compare_all({"a": {"s": x}, "b": {"s": x}, "c": {"s": x}}, reference="b")
    assert [(c.model_a, c.model_b) for c in found] == [("a", "b"), ("c", "b")]
