"""One step on ragged preferences under whatever launched this: `gradient_of_a_step.py BACKBONE OUT`.

The main process writes the whole gradient, the gathered weights after the step, the forward passes of each
process's micro-batches and the number of sharded parameters to OUT.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from fsdp_on_cpu import allow_fsdp
from transformers import TrainerCallback

from rewardsmith.batching.items import build_items
from rewardsmith.modeling.building import build_reward_model, prepare_imitation
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.modeling.spec import BackboneSpec
from rewardsmith.preferences.record import Message, Preference
from rewardsmith.training.jobs import training_arguments
from rewardsmith.training.recipe import LossSpec, StageSpec
from rewardsmith.training.sharded import gathered, weights_are_sharded
from rewardsmith.training.trainer import PreferenceTrainer

BATCH = 14
_WORDS = ["the", "sky", "is", "blue", "because", "air", "scatters", "light", "and", "bread", "needs", "flour", "salt"]


def ragged_preferences() -> list[Preference]:
    """Preferences of two to five responses, of very different lengths, with ties."""
    rng = random.Random(0)
    return [
        Preference(
            id=str(k),
            prompt=[Message(role="user", content=" ".join(rng.choices(_WORDS, k=rng.randint(3, 25))))],
            responses=[" ".join(rng.choices(_WORDS, k=rng.randint(1, 20))) for _ in range(2 + k % 4)],
            scores=[4.0, *(float(rng.randint(0, 3)) for _ in range(1 + k % 4))],
        )
        for k in range(BATCH)
    ]


def starting_model(backbone: str) -> RewardModel:
    """The same model on every process."""
    spec = BackboneSpec(model=backbone, max_length=128)
    torch.manual_seed(0)
    model = build_reward_model(spec)
    prepare_imitation(model, spec)
    assert model.lm_head is not None and model.trees
    model.lm_head.requires_grad_(False)
    return model


class Gradient(TrainerCallback):
    """Keeps what the optimiser is given; of sharded parameters, the whole."""

    def __init__(self) -> None:
        self.kept: dict[str, torch.Tensor] = {}

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Called on every process: gathering is collective."""
        for name, p in model.named_parameters():
            if p.grad is not None:
                self.kept[name] = (p.grad.full_tensor() if _is_sharded(p.grad) else p.grad).clone()


def _is_sharded(tensor: torch.Tensor) -> bool:
    return hasattr(tensor, "full_tensor")


def main(backbone: str, out: str) -> None:
    """One step over all preferences, in micro-batches of two preferences."""
    if weights_are_sharded():
        allow_fsdp()
    world = PartialState(cpu=True).num_processes
    model = starting_model(backbone)
    items, _ = build_items(ragged_preferences(), model.text, ["general"])
    stage = StageSpec(
        stage="general",
        sets=["any"],
        batch_size=BATCH,
        micro_batch_size=2,
        learning_rate=1e-3,
        max_grad_norm=0,
        evaluations=0,
        gradient_checkpointing=True,
    )
    args = training_arguments(stage, len(items), 0, Path(out).with_suffix(".run"), world=world)
    args.save_strategy = "no"
    gradient = Gradient()
    losses = LossSpec(imitation=0.1, centring=0.01)
    trainer = PreferenceTrainer(model, args, items, losses, batch_size=BATCH, token_budget=150, callbacks=[gradient])
    passes: list[int] = []
    original = trainer.training_step

    def counting(model: Any, inputs: Any, *rest: Any) -> torch.Tensor:
        passes.append(len(inputs.rows))
        return original(model, inputs, *rest)

    trainer.training_step = counting  # type: ignore[method-assign]
    trainer.train()
    texts = [response for item in items for response in item.responses]
    rewards = trainer.model.rewards_of(texts)
    sharded = sum(_is_sharded(p) for p in trainer.model.parameters())
    passes_of_all = gather_object([passes])
    whole = gathered(trainer, lambda: starting_model(backbone))
    if whole is not None:
        found = {"gradient": gradient.kept, "weights": whole.state_dict(), "passes": passes_of_all, "sharded": sharded}
        torch.save(found | {"rewards": rewards, "rewards_gathered": whole.rewards_of(texts)}, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
