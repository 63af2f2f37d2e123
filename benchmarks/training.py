"""Training runs under a clock: our trainer as it is, and the seconds that any Trainer needs for its optimiser steps.

The clock runs from before the first batch is collated until the last optimiser step is done. What is made once in a
training (the trainer, the optimiser's states) is there before it starts; nothing is saved.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from transformers import Trainer, TrainerCallback
from transformers.trainer_callback import PrinterCallback
from transformers.trainer_utils import SaveStrategy

from benchmarks.measured import OURS
from benchmarks.timing import Run, Side
from benchmarks.workload import SEED, STEP, Setting
from rewardsmith.batching.items import Item
from rewardsmith.batching.layout import DEFAULT_TOKEN_BUDGET
from rewardsmith.modeling.cpu_linear import ONEDNN_IS_FASTER
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.training.jobs import training_arguments
from rewardsmith.training.recipe import LossSpec, StageSpec
from rewardsmith.training.trainer import PreferenceTrainer

LEARNING_RATE = 1e-12
"""All of the optimiser's work, and no weight changes: every pass over the same few preferences is the same."""


class StepClock(TrainerCallback):
    """Notes when the training loop starts and when its last optimiser step is done."""

    began = ended = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.began = now()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step >= state.max_steps:
            self.ended = now()


def now() -> float:
    """Seconds, once a GPU has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def timed(trainer: Trainer) -> Run:
    """Trains to the end."""
    clock = StepClock()
    trainer.add_callback(clock)
    trainer.remove_callback(PrinterCallback)
    _allocate_states(trainer.create_optimizer())
    loss = trainer.train().training_loss
    return Run(clock.ended - clock.began, loss)


def our_trainer(
    setting: Setting,
    model: RewardModel,
    items: Sequence[Item],
    *,
    step: int = STEP,
    token_budget: int = DEFAULT_TOKEN_BUDGET,
    losses: LossSpec | None = None,
    seed: int = SEED,
    **stage: Any,
) -> PreferenceTrainer:
    """Our trainer over `items` once, `step` preferences to an optimiser step; `stage` overrides a stage's settings."""
    settings = {"learning_rate": LEARNING_RATE, "evaluations": 0, "bf16": setting.bf16, **stage}
    spec = StageSpec(stage="custom", sets=["benchmark"], batch_size=step, **settings)
    arguments = training_arguments(spec, len(items), seed, setting.scratch / "ours")
    arguments.save_strategy = SaveStrategy.NO
    return PreferenceTrainer(model, arguments, items, losses or LossSpec(), batch_size=step, token_budget=token_budget)


def our_side(setting: Setting, model: RewardModel, items: Sequence[Item], **how: Any) -> Side:
    """One pass of ours over the items; `how` goes to `our_trainer`."""
    return Side(OURS, lambda: timed(our_trainer(setting, model, items, **how)))


def without_onednn(side: Side) -> list[Side]:
    """Ours with every product left to PyTorch, where that differs: what is gained by sharing alone."""

    def run() -> Run:
        with torch.backends.mkldnn.flags(enabled=False):
            return side.run()

    return [Side(f"{side.name} without oneDNN", run)] if ONEDNN_IS_FASTER else []


def _allocate_states(optimizer: torch.optim.Optimizer) -> None:
    """A step on gradients of zero: it changes no weight."""
    weights = [p for group in optimizer.param_groups for p in group["params"]]
    for p in weights:
        p.grad = torch.zeros_like(p)
    optimizer.step()
    for p in weights:
        p.grad = None
