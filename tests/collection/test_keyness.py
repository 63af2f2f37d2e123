"""Keyness against scipy's G-test, and on texts whose telling words are known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency

from rewardsmith.collection.keyness import keywords, log_likelihood


@given(st.integers(1, 200), st.integers(1, 200), st.integers(1, 5000), st.integers(1, 5000))
def test_log_likelihood_is_scipys_g_test(a: int, b: int, more_a: int, more_b: int) -> None:
    table = [[a, b], [more_a, more_b]]
    g = chi2_contingency(table, correction=False, lambda_="log-likelihood").statistic
    assert log_likelihood(a, b, a + more_a, b + more_b) == pytest.approx(g, rel=1e-9, abs=1e-9)


def test_telling_words_come_first() -> None:
    common = "the cat sat on the mat and then it slept "
    texts = {"law": [common + "court " * 3] * 5, "sea": [common + "wave " * 2] * 5, "none": [common] * 5}
    found = keywords(texts)
    assert found["law"][0].word == "court" and found["sea"][0].word == "wave"
    assert found["law"][0].count == 5 and found["law"][0].log_ratio > 4
    assert all(w.word not in ("court", "wave") for w in found["none"])
