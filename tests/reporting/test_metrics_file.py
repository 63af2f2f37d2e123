"""A run's journal of metrics, also torn and with unknown keys."""

from __future__ import annotations

import pytest

from rewardsmith.errors import DataError
from rewardsmith.reporting import MetricPoint, read_metrics

GOOD = '{"stage": "custom", "step": 3, "epoch": 0.5, "loss": 0.6, "accuracy": {"mine": 0.7}, "lr": 1e-6}\n'


def test_unknown_keys_and_a_torn_last_line_are_passed_over(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(GOOD + '\n{"stage": "custom", "step": 4}\n{"stage": "cus')
    assert read_metrics(path) == [MetricPoint("custom", 3, 0.5, 0.6, {"mine": 0.7}), MetricPoint("custom", 4)]


def test_what_is_not_finite_was_not_measured(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"stage": "s", "step": 0, "loss": NaN, "accuracy": {"a": null, "b": 1, "c": true}}\n')
    assert read_metrics(path) == [MetricPoint("s", 0, None, None, {"b": 1.0})]


def test_an_empty_journal_has_no_points(tmp_path):
    (tmp_path / "m.jsonl").write_text("")
    assert read_metrics(tmp_path / "m.jsonl") == []


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ('{"stage": "s"\n', "line 2: not JSON"),
        ("[]\n", "line 2: not a JSON object"),
        ('{"step": 1}\n', "line 2: field 'stage'"),
        ('{"stage": "s", "step": "1"}\n', "line 2: field 'step'"),
        ('{"stage": "s", "step": 1, "accuracy": 0.5}\n', "line 2: field 'accuracy'"),
    ],
)
def test_bad_lines_are_named(bad, message, tmp_path):
    (tmp_path / "m.jsonl").write_text(GOOD + bad)
    with pytest.raises(DataError, match=message):
        read_metrics(tmp_path / "m.jsonl")


def test_a_missing_journal_is_a_user_error(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_metrics(tmp_path / "none.jsonl")
