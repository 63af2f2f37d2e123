"""Padded rows and buckets."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rewardsmith.batching.layout import Layout
from rewardsmith.batching.padding import bucket
from rewardsmith.batching.tokenizing import TokenizedResponse


@settings(max_examples=200)
@given(lengths=st.lists(st.integers(1, 300), min_size=1, max_size=40), budget=st.sampled_from([16, 200, 4096]))
def test_buckets_hold_everything_once_within_the_budget(lengths: list[int], budget: int) -> None:
    groups = list(bucket(lengths, budget))
    assert sorted(k for group in groups for k in group) == list(range(len(lengths)))
    for group in groups:
        longest, shortest = (f(lengths[k] for k in group) for f in (max, min))
        assert len(group) == 1 or len(group) * longest <= budget
        assert longest <= 1.25 * shortest + 16


def test_padded_rows_point_at_their_own_tokens() -> None:
    sequences = [TokenizedResponse((5, 6, 7, 8), 2), TokenizedResponse((5, 9), 1), TokenizedResponse((4,), 1)]
    (rows,) = Layout(0, trees=False).rows(sequences, [True, True, False])
    flat = rows.input_ids.flatten()
    assert rows.sequence.tolist() == [2, 1, 0]
    assert flat[rows.last].tolist() == [4, 9, 8]
    assert rows.attention_mask is not None and rows.attention_mask.sum(dim=1).tolist() == [1, 2, 4]
    assert flat[rows.lm_state].tolist() == [5, 6, 7]
    assert rows.lm_target.tolist() == [9, 7, 8]
    assert rows.lm_owner.tolist() == [1, 2, 2]
    assert rows.tokens == 12


def test_without_imitation_nothing_is_labelled() -> None:
    (rows,) = Layout(0, trees=False).rows([TokenizedResponse((5, 6), 1)])
    assert len(rows.lm_state) == 0


def test_the_first_token_is_never_predicted() -> None:
    (rows,) = Layout(0, trees=False).rows([TokenizedResponse((5, 6), 0)], [True])
    assert rows.lm_target.tolist() == [6]
    (rows,) = Layout(0, trees=True, imitation_on="sequence").rows([TokenizedResponse((5,), 0)], [True])
    assert len(rows.lm_target) == 0
