"""Figures as text."""

from __future__ import annotations

import pytest

from rewardsmith.reporting import format as text


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (text.percent(0.8123), "81.2"),
        (text.percent(1.0), "100.0"),
        (text.percent(None), "-"),
        (text.signed_percent(0.0312), "+3.1"),
        (text.signed_percent(-0.0312), "-3.1"),
        (text.signed_percent(-0.0001), "0.0"),
        (text.signed_percent(None), "-"),
        (text.percent_with_interval(0.8, (0.7512, 0.85)), "80.0 [75.1, 85.0]"),
        (text.percent_with_interval(0.8, None), "80.0"),
        (text.percent_with_interval(None, None), "-"),
        (text.difference_with_interval(0.03, (-0.01, 0.07)), "+3.0 [-1.0, +7.0]"),
        (text.difference_with_interval(None, None), "-"),
        (text.decimal(0.04567), "0.046"),
        (text.decimal(None), "-"),
        (text.p_value(0.0312), "0.031"),
        (text.p_value(0.0001), "<0.001"),
        (text.p_value(None), "-"),
        (text.count(12345), "12,345"),
    ],
)
def test_figures(got, expected):
    assert got == expected
