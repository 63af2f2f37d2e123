"""Every loss against its slow, obvious version in float64, and against TRL's own for two responses."""

from __future__ import annotations

import math
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rewardsmith.batching.items import Item, Judgement
from rewardsmith.batching.layout import Layout
from rewardsmith.batching.tokenizing import TokenizedResponse
from rewardsmith.training.batch import Batch, Collator
from rewardsmith.training.losses import (
    centring_loss,
    distillation_loss,
    gate_loss,
    grm_imitation,
    imitation_nll,
    l2_sp,
    ranking_loss,
)
from rewardsmith.training.recipe import LossSpec

LAYOUT = Layout(0, trees=False)
quick = settings(max_examples=60)


def _log_sigmoid(x: float) -> float:
    return min(x, 0.0) - math.log1p(math.exp(-abs(x)))


def _item(scores: list[float], *, margin: float = 0.0, output: int = 0, start: int = 0, **options: Any) -> Item:
    """Responses whose tokens all differ."""
    responses = tuple(TokenizedResponse((1, 2, 100 + start + k, *range(k)), 2) for k in range(len(scores)))
    return Item(responses, (Judgement(tuple(scores), output, margin, f"record-{start}"),), **options)


def _collate(items: list[Item], **losses: Any) -> Batch:
    return Collator(LossSpec(**losses), LAYOUT, items[0])(items)


@st.composite
def batches(draw: st.DrawFn) -> tuple[list[Item], list[float]]:
    """Items of 2 to 8 responses with scores that may tie, margins, and a reward for every response."""
    lists = draw(st.lists(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=2, max_size=8), min_size=1, max_size=5))
    margins = draw(st.lists(st.sampled_from([0.0, 0.5, 2.0]), min_size=len(lists), max_size=len(lists)))
    items = [_item(s, margin=m, start=10 * k) for k, (s, m) in enumerate(zip(lists, margins, strict=True))]
    count = sum(map(len, lists))
    rewards = draw(st.lists(st.floats(-5, 5, width=32), min_size=count, max_size=count))
    return items, rewards


def _ranked(items: list[Item], rewards: list[float], ties: bool) -> list[list[tuple[float, float, float, float]]]:
    """For each preference its pairs as (better's reward, worse's reward, margin, target)."""
    found, at = [], 0
    for item in items:
        s, r = item.judgements[0].scores, rewards[at : at + len(item.responses)]
        m = item.judgements[0].margin
        pairs = [(r[i], r[j], m, 1.0) for i in range(len(s)) for j in range(len(s)) if s[i] > s[j]]
        if ties:
            pairs += [(r[i], r[j], m, 0.5) for i in range(len(s)) for j in range(i + 1, len(s)) if s[i] == s[j]]
        at += len(s)
        found.append(pairs)
    return [pairs for pairs in found if pairs]


@quick
@given(
    batch=batches(),
    reduction=st.sampled_from(["preference", "pair"]),
    smoothing=st.sampled_from([0.0, 0.1]),
    ties=st.sampled_from(["ignore", "half"]),
)
def test_ranking_and_centring(
    batch: tuple[list[Item], list[float]], reduction: str, smoothing: float, ties: str
) -> None:
    items, rewards = batch
    lists = _ranked(items, rewards, ties == "half")
    collated = _collate(items, reduction=reduction, ties=ties)
    column = torch.tensor(rewards, dtype=torch.float64)[:, None]

    def one(a: float, b: float, margin: float, target: float) -> float:
        t = target * (1 - smoothing) + (1 - target) * smoothing
        return -(t * _log_sigmoid(a - b - margin) + (1 - t) * _log_sigmoid(margin - a + b))

    def mean(value: Any) -> float:
        if not lists:
            return 0.0
        if reduction == "pair":
            flat = [value(*pair) for pairs in lists for pair in pairs]
            return sum(flat) / len(flat)
        return sum(sum(value(*pair) for pair in pairs) / len(pairs) for pairs in lists) / len(lists)

    units = max(1.0, float(collated.counts[0]))
    assert units == pytest.approx(max(1, len(lists) if reduction == "preference" else sum(map(len, lists))))
    found = float(ranking_loss(column, collated.pairs, smoothing)) / units
    assert found == pytest.approx(mean(one), rel=1e-6, abs=1e-9)
    centred = float(centring_loss(column, collated.pairs)) / units
    assert centred == pytest.approx(mean(lambda a, b, *_: (a + b) ** 2), rel=1e-6, abs=1e-9)


@quick
@given(batch=batches(), temperature=st.sampled_from([0.5, 1.0, 3.0]), shift=st.floats(-2, 2))
def test_distillation(batch: tuple[list[Item], list[float]], temperature: float, shift: float) -> None:
    items, rewards = batch
    general = [math.sin(3 * r) + shift for r in rewards]
    at, kept = 0, []
    for item in items:
        size = len(item.responses)
        kept.append(_item(
            list(item.judgements[0].scores), start=at, general=True,
            reference=tuple((g,) for g in general[at : at + size]),
        ))  # fmt: skip
        at += size
    collated = _collate(kept, distillation=1.0)
    column = torch.tensor(rewards, dtype=torch.float64)[:, None]
    lists_now, lists_then = _ranked(kept, rewards, False), _ranked(kept, general, False)
    wanted = 0.0
    for now, then in zip(lists_now, lists_then, strict=True):
        for (a, b, *_), (c, d, *_) in zip(now, then, strict=True):
            q = 1 / (1 + math.exp(-(c - d) / temperature))
            x = (a - b) / temperature
            wanted -= (q * _log_sigmoid(x) + (1 - q) * _log_sigmoid(-x)) / len(now)
    assert float(collated.counts[1]) == pytest.approx(len(lists_now))
    reference = torch.tensor(general, dtype=torch.float64)[:, None]
    assert float(distillation_loss(column, reference, collated.kept, temperature)) == pytest.approx(wanted, rel=1e-5)
    torch.testing.assert_close(collated.reference.double(), reference, rtol=1e-5, atol=1e-6)


def test_own_items_are_not_distilled() -> None:
    own, general = _item([1.0, 0.0]), _item([1.0, 0.0], start=10, general=True, reference=((0.1,), (0.2,)))
    collated = _collate([own, general], distillation=1.0, imitation=1.0)
    assert collated.counts[:2].tolist() == [2.0, 1.0]
    assert collated.kept.winner.tolist() == [2]
    assert collated.imitated.tolist() == [1.0, 0.0, 0.0, 0.0], "enrichment is not imitated"


@pytest.mark.parametrize(("scaling", "tokens"), [("response", 3), ("sequence", 4)])
def test_imitation_counts_response_or_sequence_tokens(scaling: str, tokens: int) -> None:
    """The best has 5 tokens, 2 of them prompt: 3 response tokens, or 4 that have one before them."""
    best = TokenizedResponse((1, 2, 3, 4, 5), 2)
    other = TokenizedResponse((1, 2, 9), 2)
    item = Item((other, best), (Judgement((0.0, 1.0), 0, 0.0, "a"),))
    layout = Layout(0, trees=False, imitation_on=scaling)  # type: ignore[arg-type]
    collated = Collator(LossSpec(imitation=1.0, imitation_scaling=scaling), layout, item)([item])  # type: ignore[arg-type]
    assert collated.counts[2] == tokens and collated.counts[3] == 1
    assert sorted(t for rows in collated.rows for t in rows.lm_target.tolist()) == [2, 3, 4, 5][-tokens:]
    assert float(imitation_nll(torch.tensor([0.0, 6.0]))) == 6.0


@quick
@given(nll=st.lists(st.floats(0, 200), min_size=1, max_size=8), beta=st.sampled_from([0.01, 0.1, 1.0]), data=st.data())
def test_grm_imitation(nll: list[float], beta: float, data: st.DataObject) -> None:
    flags = data.draw(st.lists(st.booleans(), min_size=len(nll), max_size=len(nll)))
    wanted = sum(-_log_sigmoid(-beta * n) for n, flag in zip(nll, flags, strict=True) if flag)
    found = grm_imitation(torch.tensor(nll, dtype=torch.float64), torch.tensor(flags, dtype=torch.float64), beta)
    assert float(found) == pytest.approx(wanted, rel=1e-9, abs=1e-12)


def test_l2_sp_is_half_the_squared_distance() -> None:
    now, then = [torch.tensor([1.0, 2.0]), torch.tensor([[3.0]])], [torch.tensor([0.0, 0.0]), torch.tensor([[1.0]])]
    assert float(l2_sp(now, then)) == pytest.approx(0.5 * (1 + 4 + 4))


@pytest.mark.parametrize("known", [(0, 2, None), (None, None, None)])
def test_the_gate_is_taught_where_the_expert_is_known(known: tuple[int | None, ...]) -> None:
    """Worked by hand: the mean over preferences of the mean over their responses of -log softmax."""
    items = [_item([1.0, 0.0, 0.5][: 2 + k % 2], start=10 * k, expert=e) for k, e in enumerate(known)]
    batch = _collate(items)
    gate = torch.randn(len(batch.expert), 3, dtype=torch.float64)
    wanted, at = [], 0
    for item in items:
        rows = gate[at : at + len(item.responses)]
        at += len(item.responses)
        if item.expert is not None:
            nll = [math.log(sum(math.exp(x) for x in row)) - float(row[item.expert]) for row in rows.tolist()]
            wanted.append(sum(nll) / len(nll))
    assert batch.counts[4] == len(wanted)
    assert float(gate_loss(gate, batch.expert, batch.share)) == pytest.approx(sum(wanted))


def test_two_outputs_rank_the_same_text_apart() -> None:
    responses = _item([1.0, 0.0]).responses
    item = Item(responses, (Judgement((1.0, 0.0), 0, 0.0, "a"), Judgement((0.0, 1.0), 1, 0.0, "b")))
    collated = _collate([item])
    rewards = torch.tensor([[2.0, 5.0], [1.0, 3.0]])
    assert collated.pairs.difference(rewards).tolist() == [1.0, -2.0]
    assert collated.counts[0] == 2.0


def test_a_process_without_work_still_has_a_loss_with_a_gradient() -> None:
    filler = _item([1.0, 0.0], reference=((0.1,), (0.2,)))
    idle = Collator(LossSpec(imitation=1.0, distillation=1.0), LAYOUT, filler)([])
    assert idle.counts.tolist() == [0.0] * 5 and len(idle.rows) == 1
    rewards = torch.zeros(1, 1, requires_grad=True)
    ranking_loss(rewards, idle.pairs).backward()
    assert rewards.grad is not None and rewards.grad.abs().sum() == 0


def test_a_batch_that_ranks_nothing_is_zero_not_nan() -> None:
    collated = _collate([_item([1.0, 1.0]), _item([0.0, 0.0, 0.0], start=10)])
    assert collated.counts[0] == 0
    assert float(ranking_loss(torch.randn(5, 1), collated.pairs)) == 0.0


@pytest.mark.parametrize("centring", [0.0, 0.01])
@pytest.mark.parametrize("margins", [False, True])
def test_two_responses_are_what_trl_computes(centring: float, margins: bool) -> None:
    """TRL's own `compute_loss` on a stub that returns given rewards: first all chosen, then all rejected."""
    trl = pytest.importorskip("trl")
    rewards = torch.tensor([1.3, -0.2, 0.4, 2.0, 0.1, 0.4, -1.0, 2.5])
    asked = [0.5, 0.0, 1.0, 0.2] if margins else [0.0] * 4

    class Stub:
        training = False

        def __call__(self, **_: Any) -> Any:
            return type("Output", (), {"logits": rewards[:, None]})()

    def gather(value: Any) -> Any:
        return value

    trainer = trl.RewardTrainer.__new__(trl.RewardTrainer)
    trainer.model = Stub()
    trainer.args = SimpleNamespace(center_rewards_coefficient=centring or None)
    trainer.accelerator = SimpleNamespace(gather=gather, gather_for_metrics=gather)
    trainer._metrics, trainer._total_train_tokens = {"eval": defaultdict(list)}, 0
    inputs = {"input_ids": torch.ones(8, 2).long(), "attention_mask": torch.ones(8, 2).long()}
    if margins:
        inputs["margin"] = torch.tensor(asked)
    wanted = float(trainer.compute_loss(trainer.model, inputs))
    ours = [_item([1.0, 0.0], margin=m, start=10 * k) for k, m in enumerate(asked)]
    collated = _collate(ours)
    column = rewards.view(2, 4).T.reshape(-1, 1)
    found = ranking_loss(column, collated.pairs) + centring * centring_loss(column, collated.pairs)
    assert float(found / collated.counts[0]) == pytest.approx(wanted, rel=1e-6)
