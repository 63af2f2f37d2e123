"""Joint training: one pass over shared texts gives what each domain's own pass over the same trunk gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from rewardsmith.batching.items import build_items
from rewardsmith.modeling.building import BackboneSpec, build_reward_model
from rewardsmith.modeling.domains import domain_model
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.preferences.record import Preference
from rewardsmith.training.batch import Collator
from rewardsmith.training.losses import ranking_loss
from rewardsmith.training.recipe import LossSpec

DOMAINS = ["academy", "business"]


def _loss(model: RewardModel, preferences: list[Preference], domains: list[str]) -> torch.Tensor:
    items, _ = build_items(preferences, model.text, domains)
    batch = Collator(LossSpec(), model.layout(), items[0])(items)
    return ranking_loss(model(batch.rows).rewards, batch.pairs) / batch.counts[0]


def test_joint_equals_heads_on_a_shared_trunk(
    make_backbone: Callable[..., Path], tiny_preferences: list[Preference]
) -> None:
    model = build_reward_model(BackboneSpec(model=str(make_backbone("llama")), max_length=96), DOMAINS).eval()
    torch.nn.init.normal_(model.head.weight)  # type: ignore[arg-type]
    custom = [p for p in tiny_preferences if p.domain in DOMAINS]
    joint = _loss(model, custom, DOMAINS)
    joint.backward()
    together = {name: p.grad.clone() for name, p in model.backbone.named_parameters() if p.grad is not None}
    head = model.head.weight.grad.clone()  # type: ignore[union-attr, operator]
    model.zero_grad()
    singles = {d: domain_model(model, d) for d in DOMAINS}
    apart = [_loss(singles[d], [p for p in custom if p.domain == d], [d]) for d in DOMAINS]
    mean = torch.stack(apart).mean()
    mean.backward()
    torch.testing.assert_close(joint, mean, rtol=1e-6, atol=1e-6)  # of float32 rewards
    for name, parameter in model.backbone.named_parameters():
        torch.testing.assert_close(parameter.grad, together[name], rtol=1e-4, atol=1e-6)
    rows = torch.cat([singles[d].head.weight.grad for d in DOMAINS])  # type: ignore[arg-type]
    torch.testing.assert_close(rows, head, rtol=1e-4, atol=1e-6)
