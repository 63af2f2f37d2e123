"""Next tokens: the nucleus is transformers', draws follow their probabilities, and chance is each row's own."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
import torch
from transformers import TopPLogitsWarper

from rewardsmith.collection.generation.sampling import in_nucleus, next_tokens
from rewardsmith.collection.requests import Sampling

VOCABULARY = 50


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.randn(6, VOCABULARY, generator=torch.Generator().manual_seed(0)) * 3


@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.9, 0.95, 0.999])
def test_the_nucleus_is_that_of_transformers(logits: torch.Tensor, top_p: float) -> None:
    kept = TopPLogitsWarper(top_p)(None, logits).isfinite()
    probabilities, each = logits.softmax(-1), logits.new_full((len(logits),), top_p)
    ours = [in_nucleus(probabilities, torch.full((len(logits),), t), each) for t in range(VOCABULARY)]
    assert torch.equal(torch.stack(ours, dim=1), kept)


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.7, 0.9), (2.0, 0.3)])
def test_draws_follow_the_warped_probabilities(temperature: float, top_p: float) -> None:
    draws = 20_000
    row = torch.randn(1, 12, generator=torch.Generator().manual_seed(1)) * 2
    expected = TopPLogitsWarper(top_p)(None, row / temperature).softmax(-1)[0]
    sampling = [Sampling(temperature=temperature, top_p=top_p)] * draws
    tokens = next_tokens(row.expand(draws, -1), sampling, [Random(k) for k in range(draws)])
    seen = torch.bincount(tokens, minlength=12) / draws
    assert set(tokens.tolist()) <= set(expected.nonzero()[:, 0].tolist())
    # Five standard errors of each share.
    assert ((seen - expected).abs() <= 5 * (expected * (1 - expected) / draws).sqrt() + 1e-9).all()


def test_rows_of_all_kinds_at_once(logits: torch.Tensor) -> None:
    kinds = [Sampling(temperature=0), Sampling(top_p=0.3), Sampling(temperature=1.5, top_p=1)]
    sampling = [kinds[k % 3] for k in range(len(logits))]
    together = next_tokens(logits, sampling, [Random(k) for k in range(len(logits))])
    alone = [next_tokens(logits[k : k + 1], [sampling[k]], [Random(k)])[0] for k in range(len(logits))]
    assert together.tolist() == [int(t) for t in alone]
    assert together[0] == logits[0].argmax()


def test_a_greedy_row_uses_up_no_chance(logits: torch.Tensor) -> None:
    chance: Callable[[], list[Random]] = lambda: [Random(7) for _ in range(len(logits))]  # noqa: E731
    used = chance()
    next_tokens(logits, [Sampling(temperature=0)] * len(logits), used)
    assert [c.random() for c in used] == [c.random() for c in chance()]


def test_half_precision_logits_are_drawn_from_in_full(logits: torch.Tensor) -> None:
    half = logits.bfloat16()
    sampling, seeds = [Sampling(top_p=0.8)] * len(logits), range(len(logits))
    assert torch.equal(
        next_tokens(half, sampling, [Random(k) for k in seeds]),
        next_tokens(half.float(), sampling, [Random(k) for k in seeds]),
    )
