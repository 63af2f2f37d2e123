"""What is ranked, what is left out, and that it is all counted."""

from __future__ import annotations

import pytest

from rewardsmith.errors import DataError
from rewardsmith.evaluation.pairs import pair_table
from rewardsmith.evaluation.scored import ScoredPreference


def test_every_pair_is_ranked_or_counted(preference):
    p = preference("q", [1, 1, 0, 0], ["a", "b", "a", "c"])
    table = pair_table([ScoredPreference(p, (4.0, 3.0, 2.0, 1.0))])
    assert (table.n_pairs, table.n_ties, table.n_identical) == (3, 2, 1)
    assert table.n_pairs + table.n_ties + table.n_identical == 6
    assert sorted(table.margins.tolist()) == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("rewards", [None, (float("nan"), 0.0), (float("inf"), 0.0), (1.0,)])
def test_a_failed_record_is_no_zero_and_no_tie(preference, rewards):
    good = ScoredPreference(preference("a", [1, 0]), (1.0, 0.0))
    table = pair_table([good, ScoredPreference(preference("b", [1, 0]), rewards)])
    assert (table.n_preferences, table.n_failed, table.n_pairs, table.n_ties) == (2, 1, 1, 0)


def test_plain_pairs_are_marked(preference):
    p = preference("q", [2, 1, 0], response_names=["academy", "normal", "business"])
    table = pair_table([ScoredPreference(p, (0.0, 0.0, 0.0)), ScoredPreference(preference("r", [1, 0]), (0.0, 0.0))])
    assert table.plain.tolist() == [True, False, True, False]
    assert table.named.tolist() == [True, True, True, False]


def test_clusters_by_annotator(preference):
    records = [ScoredPreference(preference(f"q{k}", [1, 0], annotator=who), (1.0, 0.0)) for k, who in enumerate("aba")]
    assert pair_table(records, "annotator").clusters.tolist() == [0, 1, 0]
    assert pair_table(records).n_clusters == 3


def test_a_missing_annotator_is_an_error_and_no_cluster(preference):
    with pytest.raises(DataError, match="record q: it names no annotator"):
        pair_table([ScoredPreference(preference("q", [1, 0]), (1.0, 0.0))], "annotator")


def test_an_empty_table():
    table = pair_table([])
    assert (table.n_pairs, table.n_prompts, table.n_clusters) == (0, 0, 0)
