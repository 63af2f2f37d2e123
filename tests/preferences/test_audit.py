"""The audit: each check on data made to have, or not to have, what it looks for."""

from __future__ import annotations

import pytest

from rewardsmith.errors import DataError
from rewardsmith.preferences.audit import AuditReport, Thresholds, audit_preferences
from rewardsmith.preferences.splitting import split_preferences


def clean(make, count: int = 240):
    """Records without any fault: lengths balanced, words random, prompts different."""
    import random

    draw = random.Random(0)
    texts = [" ".join(draw.choices([f"w{n}" for n in range(400)], k=draw.randint(8, 20))) for _ in range(2 * count)]
    return [make(f"prompt number {k}", texts[2 * k], texts[2 * k + 1], id=f"c{k}") for k in range(count)]


def test_clean_data_is_good_throughout(make):
    records = clean(make)
    report = audit_preferences(records, splits=split_preferences(records, {"a": 0.5, "b": 0.5}))
    assert {finding.check: finding.grade for finding in report.findings} == {
        "prompts": "good",
        "length": "good",
        "bag_of_words": "good",
        "exact_duplicates": "good",
        "near_duplicates": "good",
        "ties": "good",
        "conflicts": "good",
        "identical": "good",
        "empty": "good",
        "shared_prompts": "good",
    }
    assert report.grade == "good"
    assert (report.records, report.pairs, report.prompts, report.domains) == (240, 240, 240, {"general": 240})


def test_the_report_is_json_and_comes_back(make):
    report = audit_preferences(clean(make, 30), token_counter=len, max_length=50)
    assert AuditReport.model_validate_json(report.model_dump_json()) == report


FAULTS = {
    "prompts": lambda make: [make("one prompt", f"answer {k}", f"other {k}", id=str(k)) for k in range(30)],
    "length": lambda make: [make(f"p{k}", "x" * (k + 2), "x" * (k + 1), id=str(k)) for k in range(250)],
    "bag_of_words": lambda make: [make(f"p{k}", f"surely a{k}", f"hardly b{k}", id=str(k)) for k in range(250)],
    "exact_duplicates": lambda make: clean(make) + [r.model_copy(update={"id": "d" + r.id}) for r in clean(make)[:80]],
    "ties": lambda make: clean(make) + [make(f"t{k}", f"a{k}", f"b{k}", scores=[1, 1], id=f"t{k}") for k in range(300)],
    "conflicts": lambda make: (
        clean(make) + [r.model_copy(update={"id": "d" + r.id, "scores": [0.0, 1.0]}) for r in clean(make)[:80]]
    ),
    "identical": lambda make: clean(make) + [make(f"i{k}", f"s{k}", f"s{k}", id=f"i{k}") for k in range(80)],
    "empty": lambda make: clean(make) + [make(f"e{k}", f"s{k}", " ", id=f"e{k}") for k in range(80)],
}


@pytest.mark.parametrize("check", FAULTS)
def test_each_fault_is_found_and_explained(make, check):
    finding = audit_preferences(FAULTS[check](make)).finding(check)
    assert finding.grade in ("warn", "fail")
    assert finding.value is not None
    assert ";" in finding.message


def test_counts_of_duplicates_conflicts_and_ties_by_hand(make):
    base = [make("q", "a b c", "d e f", id="1"), make("r", "a", "b", id="2")]
    swapped = base[0].model_copy(update={"id": "3", "responses": ["d e f", "a b c"], "scores": [0.0, 1.0]})
    against = base[1].model_copy(update={"id": "4", "scores": [0.0, 1.0]})
    report = audit_preferences([*base, swapped, against])
    assert report.finding("exact_duplicates").examples == ["3"]
    assert report.finding("exact_duplicates").value == 0.25
    assert report.finding("conflicts").examples == ["2", "4"]
    assert report.finding("conflicts").value == 0.5
    assert report.finding("ties").value == 0.0


def test_domains_may_disagree_and_so_may_annotators_up_to_a_warning(make):
    one, two = make("q", "a", "b", id="1"), make("q", "a", "b", id="2", scores=[0.0, 1.0])
    apart = [one.model_copy(update={"domain": "x"}), two.model_copy(update={"domain": "y"})]
    assert audit_preferences(apart).finding("conflicts").grade == "good"
    people = [one.model_copy(update={"annotator": "x"}), two.model_copy(update={"annotator": "y"})]
    finding = audit_preferences(people).finding("conflicts")
    assert (finding.grade, finding.details["between_annotators"]) == ("warn", 1.0)
    assert audit_preferences([one, two]).finding("conflicts").grade == "fail"


def test_near_duplicates_but_not_the_same_record_of_another_domain(make):
    text = " ".join(f"w{k}" for k in range(60))
    records = [*clean(make), make("p", text, text + " x", id="n1"), make("p", text + " y", text + " x", id="n2")]
    finding = audit_preferences(records).finding("near_duplicates")
    assert finding.examples == ["n2"]
    other_domain = records[0].model_copy(update={"id": "other", "domain": "other"})
    assert audit_preferences([*clean(make), other_domain]).finding("near_duplicates").value == 0.0


def test_prompts_in_two_splits(make):
    records = clean(make, 30)
    shared = {"train": records[:20], "test": [*records[20:], records[0]]}
    finding = audit_preferences(records, splits=shared).finding("shared_prompts")
    assert (finding.grade, finding.details) == ("fail", {"train and test": 1.0})
    assert finding.value == pytest.approx(1 / 30)
    assert finding.examples == ["c0", "c0"]


def test_lengths_and_truncation_by_hand(make):
    records = [make("1234", "1" * 6, "1" * 16, id=str(k)) for k in range(10)]
    finding = audit_preferences(records, token_counter=len, max_length=15).finding("token_lengths")
    assert (finding.details["median"], finding.details["max"]) == (15.0, 20.0)
    assert (finding.grade, finding.value) == ("fail", 0.5)
    assert finding.details["tokens_cut"] == pytest.approx(50 / 300)
    open_ended = audit_preferences(records, token_counter=len).finding("token_lengths")
    assert (open_ended.grade, open_ended.threshold) == ("good", None)


def test_shortcuts_are_graded_by_the_worst_domain(make):
    long = [
        r.model_copy(update={"id": f"l{k}", "responses": [f"w{k} " * 9, f"v{k}"]})
        for k, r in enumerate(clean(make, 100))
    ]
    records = [*clean(make, 100), *(r.model_copy(update={"domain": "long"}) for r in long)]
    finding = audit_preferences(records).finding("length")
    assert (finding.grade, finding.value) == ("fail", 1.0)
    assert "in domain 'long'" in finding.message
    assert set(finding.details) == {"general", "long"}


def test_only_ties_are_not_measured_rather_than_zero(make):
    finding = audit_preferences([make("q", "a", "b", scores=[1, 1])]).finding("length")
    assert (finding.grade, finding.value) == ("warn", None)


def test_thresholds_can_be_set_and_stand_in_the_report(make):
    strict = Thresholds(few_prompts_warn=1000, few_prompts_fail=500)
    report = audit_preferences(clean(make), thresholds=strict)
    assert report.finding("prompts").grade == "fail"
    assert report.thresholds == strict


def test_nothing_to_audit(make):
    with pytest.raises(DataError, match="no preferences to audit"):
        audit_preferences([])
    with pytest.raises(KeyError):
        audit_preferences([make("q")]).finding("nothing")


def test_the_known_faults_of_the_real_files(real_data):
    from rewardsmith.preferences.reading import load_preferences

    dsp = audit_preferences(load_preferences(real_data / "domain_specific_preference.json").preferences)
    assert dsp.finding("identical").grade == "warn"
    assert dsp.finding("conflicts").value == 0.0
    assert dsp.finding("exact_duplicates").value == 0.0
    webgpt = audit_preferences(load_preferences(real_data / "webgpt.json").preferences)
    assert webgpt.finding("ties").value == pytest.approx(176 / 672)
