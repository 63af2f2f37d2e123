"""The whole way from a scorer to the result: sets, domains, baselines, failures, undefined figures."""

from __future__ import annotations

import numpy as np
import pytest

from rewardsmith.errors import UserError
from rewardsmith.evaluation import (
    EvaluationResult,
    ScoredPreference,
    baselines,
    compare_all,
    evaluate_sets,
    score_sets,
    summarise,
    summarise_models,
)
from rewardsmith.evaluation.pairs import pair_table
from rewardsmith.evaluation.ranking import accuracy
from rewardsmith.preferences.record import Preference, response_text


def by_length(preferences):
    return [[float(len(response_text(r))) for r in p.responses] for p in preferences]


@pytest.fixture
def two_domains(preference) -> list[Preference]:
    """For each prompt the academy likes the long answer and the business the short one: they contradict each other."""
    texts = ["a long and learned answer with footnotes", "short"]
    return [
        preference(f"prompt {k}", scores, texts, id=f"{k}-{domain}", domain=domain)
        for k in range(30)
        for domain, scores in (("academy", [1, 0]), ("business", [0, 1]))
    ]


def test_domains_and_their_mean(two_domains):
    result = evaluate_sets("length", by_length, {"dsp": two_domains}).sets["dsp"]
    assert result.accuracy == 0.5
    assert {name: d.accuracy for name, d in result.domains.items()} == {"academy": 1.0, "business": 0.0}
    assert result.mean_domain_accuracy == 0.5
    assert result.n_prompts == 30 and result.n_pairs == 60


def test_baselines_are_learnt_within_each_domain(two_domains):
    """Bag of words over both domains at once could learn nothing; within each it is always right."""
    result = evaluate_sets("length", by_length, {"dsp": two_domains}).sets["dsp"]
    assert {name: d.baselines["longer"].accuracy for name, d in result.domains.items()} == {
        "academy": 1.0,
        "business": 0.0,
    }
    assert {d.baselines["bag_of_words"].accuracy for d in result.domains.values()} == {1.0}
    assert result.baselines["bag_of_words"].accuracy == 1.0
    assert result.baselines["longer"].accuracy == result.baselines["shorter"].accuracy == 0.5


def test_the_longer_baseline_is_the_model_that_counts_characters(preference):
    rng = np.random.default_rng(0)
    preferences = [
        preference(f"q{k}", rng.permutation(3), ["x" * int(n) + str(i) for i, n in enumerate(rng.integers(1, 20, 3))])
        for k in range(40)
    ]
    result = evaluate_sets("length", by_length, {"a": preferences}).sets["a"]
    assert result.baselines["longer"].accuracy == pytest.approx(result.accuracy)
    assert result.baselines["longer"].ci95 == pytest.approx(result.ci95)


def test_baselines_stand_on_the_pairs_the_model_scored(two_domains):
    """Without the business, on which the model failed, the longer response always wins."""
    scored = [
        ScoredPreference(p, (1.0, 0.0) if p.domain == "academy" else None, None if p.domain == "academy" else "failed")
        for p in two_domains
    ]
    result = summarise("m", {"dsp": scored}).sets["dsp"]
    assert result.n_failed == 30 and result.n_pairs == 30
    assert result.baselines["longer"].accuracy == 1.0
    assert result.domains["business"].accuracy is None
    assert result.mean_domain_accuracy is None
    assert "mean_domain_accuracy is undefined: no ranked pair in business" in result.notes


def test_one_domain_is_not_said_twice(preference):
    result = evaluate_sets("m", by_length, {"a": [preference(f"q{k}", [1, 0]) for k in range(3)]}).sets["a"]
    assert result.domains == {} and result.mean_domain_accuracy == result.accuracy


def test_failed_records_change_no_figure(noisy_scored):
    scored = noisy_scored(40)
    extra = [ScoredPreference(s.preference, None, "out of memory") for s in noisy_scored(60)[-15:]]
    clean = summarise("m", {"a": scored}, baselines=False).sets["a"]
    dirty = summarise("m", {"a": scored + extra}, baselines=False).sets["a"]
    assert dirty.n_failed == 15
    for figure in ("accuracy", "ci95", "nll", "ece", "brier", "mrr", "kendall_tau", "n_pairs", "n_ties"):
        assert getattr(dirty, figure) == getattr(clean, figure)
    assert "15 of " in dirty.notes[0] and "failed" in dirty.notes[0]


def test_order_of_records_changes_no_figure(noisy_scored):
    scored = [s for s in noisy_scored(40) if s.preference.domain == "academy"]
    forth, back = (summarise("m", {"a": s}, baselines=False).sets["a"] for s in (scored, scored[::-1]))
    for figure in ("accuracy", "accuracy_pairs", "accuracy_without_plain", "nll", "ece", "brier", "mrr", "kendall_tau"):
        assert getattr(forth, figure) == pytest.approx(getattr(back, figure))


def test_a_set_without_anything_to_rank(preference):
    ties = [preference("a", [1, 1]), preference("b", [1, 0], ["same", "same"])]
    for preferences in (ties, []):
        result = evaluate_sets("m", by_length, {"a": preferences}).sets["a"]
        assert result.n_preferences == len(preferences)
        for figure in (
            "accuracy",
            "accuracy_pairs",
            "ci95",
            "nll",
            "ece",
            "brier",
            "mean_margin",
            "mrr",
            "kendall_tau",
        ):
            assert getattr(result, figure) is None
        assert {b.accuracy for b in result.baselines.values()} <= {None}
        assert any("no pair that ranks anything" in note for note in result.notes)
    assert (result.calibration, result.margins.counts) == ([], [])


def test_undefined_figures_say_why(preference):
    names = ["academy", "normal"]
    one = [preference("q", [1, 0], ["long answer", "short"], response_names=names)]
    result = evaluate_sets("m", by_length, {"a": one}).sets["a"]
    assert result.accuracy == 1.0
    undefined = {"ci95", "ece", "accuracy_without_plain", "mrr", "kendall_tau", "bag_of_words"}
    assert {result.ci95, result.ece, result.accuracy_without_plain, result.mrr, result.kendall_tau} == {None}
    for figure in undefined:
        assert any(figure in note and "undefined" in note for note in result.notes), figure


def test_without_plain(preference):
    """The model is right about the plain answer only."""
    records = [
        ScoredPreference(
            preference(f"q{k}", [2, 1, 0], response_names=["academy", "business", "normal"]), (1.0, 2.0, 0.0)
        )
        for k in range(3)
    ]
    result = summarise("m", {"a": records}, baselines=False).sets["a"]
    assert result.accuracy == pytest.approx(2 / 3)
    assert result.accuracy_without_plain == 0.0
    unnamed = ScoredPreference(preference("u", [1, 0]), (1.0, 0.0))
    mixed = summarise("m", {"a": [*records, unnamed]}, baselines=False).sets["a"]
    assert mixed.accuracy_without_plain == 0.0
    assert any("leaves out 1 pairs" in note for note in mixed.notes)


def test_constant_rewards_are_a_coin(preference):
    preferences = [preference(f"q{k}", [2, 1, 0]) for k in range(25)]
    result = evaluate_sets("m", lambda p: [[0.0] * 3] * len(p), {"a": preferences}, baselines=False).sets["a"]
    assert result.accuracy == 0.5 and result.brier == 0.25 and result.nll == pytest.approx(np.log(2))
    assert result.n_reward_ties == 75 and result.kendall_tau is None
    assert any("kendall_tau leaves out 25 of 25" in note for note in result.notes)


def test_clusters_by_annotator_widen_the_interval(preference):
    """Three people who agree with themselves only: a hundred prompts say no more than three people."""
    rng = np.random.default_rng(1)
    records = []
    for k in range(120):
        who = k % 4
        right = rng.random() < (0.95, 0.9, 0.3, 0.8)[who]
        p = preference(f"q{k}", [1, 0], annotator=f"person {who}")
        records.append(ScoredPreference(p, (1.0, 0.0) if right else (0.0, 1.0)))
    prompt, person = (
        summarise("m", {"a": records}, baselines=False, cluster=c).sets["a"] for c in ("prompt", "annotator")
    )
    assert prompt.accuracy == person.accuracy
    assert person.ci95[1] - person.ci95[0] > 2 * (prompt.ci95[1] - prompt.ci95[0])
    assert "ci95 is rough: it rests on 4 annotators only" in person.notes


def test_annotators_are_needed_to_cluster_by_them(preference):
    with pytest.raises(UserError, match="annotator"):
        evaluate_sets("m", by_length, {"a": [preference("q", [1, 0])]}, cluster="annotator")


def test_overall_accuracy_is_the_definition_over_all_records(noisy_scored):
    scored = noisy_scored(50)
    result = summarise("m", {"a": scored}, baselines=False).sets["a"]
    table = pair_table(scored)
    assert len(result.domains) == 2
    assert result.accuracy == pytest.approx(accuracy(table.margins, table.prompts))
    assert sum(b.n_pairs for b in result.calibration) == sum(result.margins.counts) == result.n_pairs


def test_score_sets_keeps_names(preference):
    scored = score_sets(by_length, {"a": [preference("q", [1, 0])], "b": []})
    assert {name: len(records) for name, records in scored.items()} == {"a": 1, "b": 0}


def test_several_models_pay_for_the_shortcuts_once(noisy_scored, monkeypatch):
    calls = []
    learn = baselines.shortcut_verdicts
    monkeypatch.setattr(baselines, "shortcut_verdicts", lambda p: calls.append(len(p)) or learn(p))
    scored = {"a": {"s": noisy_scored(20, seed=1)}, "b": {"s": noisy_scored(20, seed=2)}}
    together = summarise_models(scored)
    assert len(calls) == 2  # one for each domain
    apart = EvaluationResult(models=[summarise(n, s) for n, s in scored.items()], comparisons=compare_all(scored))
    assert together == apart


def test_other_preferences_under_the_same_set_name_are_learnt_anew(noisy_scored):
    scored = {"a": {"s": noisy_scored(20)}, "b": {"s": noisy_scored(20)[::-1]}}
    memory = baselines.ShortcutMemory()
    first, second = (memory.verdicts("s", [r.preference for r in scored[m]["s"]]) for m in "ab")
    assert all((x["longer"] == y["longer"]).all() for x, y in zip(first, second[::-1], strict=True))
