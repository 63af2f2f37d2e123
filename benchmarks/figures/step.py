"""Inside one of our steps: its share of what the machine can multiply, and what it spends beside the real work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers import TrainerCallback

from benchmarks.flops import matmul_rates, needed_flops
from benchmarks.measured import OURS, Measured
from benchmarks.timing import Ratio, Run, Side, alternate
from benchmarks.training import now, our_trainer, timed
from benchmarks.workload import Setting, random_pairs, reward_model
from rewardsmith.batching.items import Item
from rewardsmith.modeling.compiling import compile_modules
from rewardsmith.modeling.cpu_linear import ONEDNN_IS_FASTER
from rewardsmith.modeling.reward_model import RewardModel

_PAIRS = 16
"""Pairs in the step, in passes of 8."""


def matmul_peak(setting: Setting) -> Measured:
    """Needed FLOPs a second of a whole step, optimiser included, over the matmul rate measured beside it."""
    model = reward_model(setting)
    items = random_pairs(setting, model, setting.size(_PAIRS, 4))
    compile_modules(model.backbone)
    trainer = our_trainer(setting, model, items, step=len(items))
    flops = needed_flops(model, [rows for batch in trainer.get_train_dataloader() for rows in batch.rows])
    rates: list[tuple[float, float]] = []

    def step() -> Run:
        rates.append(matmul_rates(model, torch.bfloat16 if setting.bf16 else torch.float32))
        return timed(our_trainer(setting, model, items, step=len(items)))

    seconds = [run.seconds for run in alternate([Side(OURS, step)], setting.repeats)[OURS]]
    used, plain = zip(*rates[-len(seconds) :], strict=True)
    shares = [Ratio.of([flops / s / rate for s, rate in zip(seconds, by, strict=True)]) for by in (used, plain)]
    return Measured(
        ratio=shares[0],
        against="the highest matmul rate of what the layers use",
        also={"the highest of PyTorch's own matmul": shares[1]} if ONEDNN_IS_FASTER else {},
        work=f"one step of {len(items)} random pairs, {flops / 1e9:.1f} GFLOP needed",
        seconds={OURS: seconds},
        notes=[
            f"matmul rate {max(used) / 1e9:.1f} GFLOP/s, PyTorch's own {max(plain) / 1e9:.1f} "
            f"({'bfloat16' if setting.bf16 else 'float32'}, the best of squares of 1024 and 2048, the model's shapes)",
            "norms and MLPs compiled (a stage's `compile: true`); the warming round compiles them",
            "only linear layers and attended keys are counted; the optimiser's time is in the step, its work is not",
        ],
    )


def overhead(setting: Setting) -> Measured:
    """One over the share of a step that is neither forward with loss, backward, nor the update (clipping and AdamW)."""
    model = reward_model(setting)
    items = random_pairs(setting, model, setting.size(_PAIRS, 4))
    parts: list[dict[str, float]] = []

    def step() -> Run:
        run, spent = _in_parts(setting, model, items)
        parts.append(spent)
        return run

    runs = alternate([Side(OURS, step)], setting.repeats)[OURS]
    counted = parts[-len(runs) :]
    shares = [1 - sum(spent.values()) / run.seconds for run, spent in zip(runs, counted, strict=True)]
    shown = ", ".join(f"{name} {spent / runs[-1].seconds:.1%}" for name, spent in counted[-1].items())
    return Measured(
        ratio=Ratio.of([1 / share for share in shares]),
        against="the rest of our own step",
        work=f"one step of {len(items)} random pairs in passes of 8",
        seconds={OURS: [run.seconds for run in runs]},
        notes=[f"the last step: {shown}, the rest {shares[-1]:.2%}; the rest is collating, logging, zeroing gradients"],
    )


def _in_parts(setting: Setting, model: RewardModel, items: list[Item]) -> tuple[Run, dict[str, float]]:
    """One timed step, and the seconds of its parts by name."""
    trainer: Any = our_trainer(setting, model, items, step=len(items))
    spent = dict.fromkeys(("forward", "backward", "update"), 0.0)

    def clocked(part: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            start = now()
            result = work(*args, **kwargs)
            spent[part] += now() - start
            return result

        return run

    trainer.compute_loss = clocked("forward", trainer.compute_loss)
    trainer.accelerator.backward = clocked("backward", trainer.accelerator.backward)
    trainer.accelerator.clip_grad_norm_ = clocked("update", trainer.accelerator.clip_grad_norm_)
    trainer.add_callback(_OptimiserClock(spent))
    return timed(trainer), spent


class _OptimiserClock(TrainerCallback):
    """Adds what the optimiser's own steps take to the update."""

    def __init__(self, spent: dict[str, float]) -> None:
        self.spent = spent

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.spent["update"] -= now()

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.spent["update"] += now()
