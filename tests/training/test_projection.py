"""Gradient projection: the gradient that the optimiser sees, against plain gradients in float64 put together slowly."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from transformers import TrainerCallback

from rewardsmith.batching.items import Item, build_items
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.preferences.record import Preference
from rewardsmith.training.jobs import training_arguments
from rewardsmith.training.recipe import LossSpec, StageSpec
from rewardsmith.training.trainer import PreferenceTrainer


class Seen(TrainerCallback):
    """Notes the gradient of a step."""

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.gradient = np.concatenate([p.grad.double().numpy().ravel() for p in _trained(kwargs["model"])])


def _trained(model: torch.nn.Module) -> list[torch.nn.Parameter]:
    return [p for p in model.parameters() if p.requires_grad]


def _gradient(model: RewardModel, items: list[Item]) -> np.ndarray[Any, Any]:
    """Of the mean over items of the mean over their pairs, one padded response at a time."""
    model.zero_grad()
    for item in items:
        rewards = [model(model.layout().rows([r])).rewards[0, 0] for r in item.responses]
        (judgement,) = item.judgements
        pairs = item.pairs(judgement)
        for i, j in pairs:
            loss = -torch.log(torch.sigmoid(rewards[i] - rewards[j])) / len(pairs) / len(items)
            loss.backward(retain_graph=True)
    return np.concatenate([p.grad.double().numpy().ravel() for p in _trained(model)])


@pytest.fixture
def stage(tmp_path: Path) -> Callable[..., StageSpec]:
    def make(**fields: Any) -> StageSpec:
        common = {"stage": "custom", "sets": ["own"], "batch_size": 16, "max_grad_norm": 0.0, "evaluations": 0}
        return StageSpec.model_validate(common | fields)

    return make


@pytest.mark.parametrize("opposed", [True, False])
@pytest.mark.parametrize("micro_batch_size", [16, 2])
def test_a_step_has_the_projected_gradient(
    model_of: Callable[[str, str], RewardModel],
    tiny_preferences: list[Preference],
    in_double: Callable[[torch.nn.Module], AbstractContextManager[None]],
    stage: Callable[..., StageSpec],
    tmp_path: Path,
    opposed: bool,
    micro_batch_size: int,
) -> None:
    model = copy.deepcopy(model_of("llama", "native"))
    model.lm_head = None
    own, other = tiny_preferences[:6], tiny_preferences[-4:]
    # The general ones hold some of the custom ones, or their contrary, and others.
    flipped = [p.model_copy(update={"scores": [-s for s in p.scores]}) for p in own[:5]]
    custom, _ = build_items(own, model.text, ["general"])
    held, _ = build_items([*(flipped if opposed else own[:5]), *other], model.text, ["general"], general=True)
    twin = copy.deepcopy(model)
    seen = Seen()
    trainer = PreferenceTrainer(
        model,
        training_arguments(stage(micro_batch_size=micro_batch_size), len(custom + held), 0, tmp_path),
        custom + held,
        LossSpec(projection=True),
        batch_size=16,
        token_budget=4096,
        callbacks=[seen],
    )
    trainer.train()
    with in_double(twin):
        g, reference = _gradient(twin, custom), _gradient(twin, held)
    dot = float(g @ reference)
    assert (dot < 0) == opposed
    want = g - dot / float(reference @ reference) * reference if opposed else g
    assert np.linalg.norm(seen.gradient - want) <= 1e-4 * np.linalg.norm(g)
    if opposed:
        assert abs(seen.gradient @ reference) <= 1e-4 * np.linalg.norm(g) * np.linalg.norm(reference)


def test_what_contradicts_itself_is_refused(stage: Callable[..., StageSpec]) -> None:
    with pytest.raises(ValidationError, match="projection holds the gradient to the general preferences"):
        stage(losses={"projection": True})
    with pytest.raises(ValidationError, match="two uses of enrichment; choose one"):
        stage(losses={"projection": True, "distillation": 1.0}, enrichment={"sets": ["general"], "count": 4})
