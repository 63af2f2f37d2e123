"""Jobs: the trainings that a recipe's stages come to, each with its models, its start and its number of steps.

A custom stage over several domains is one job for each, or a single one where they share a trunk (`joint`). It knows
nothing of how a job is run.
"""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import TrainingArguments

from rewardsmith.batching.items import ItemCounts
from rewardsmith.errors import DataError, UserError, nearest
from rewardsmith.modeling.checkpoint import folder_name
from rewardsmith.preferences.record import GENERAL
from rewardsmith.training.data import RecipeData
from rewardsmith.training.recipe import BACKBONE, Recipe, StageSpec


@dataclass(frozen=True)
class Job:
    """One training: a stage for one model, or for all of its domains at once."""

    stage: StageSpec
    label: str
    domains: list[str]
    start: str
    """Name of the run's model to start from, `backbone`, or a folder."""

    @property
    def own_domains(self) -> list[str] | None:
        """The domains whose preferences it trains on; None for all there are."""
        return self.domains if self.stage.stage == "custom" else None

    @property
    def models(self) -> dict[str, str]:
        """Names of the models it makes, by domain."""
        if self.stage.stage != "custom":
            return {self.domains[0]: self.label}
        if not self.stage.name:
            return {d: folder_name(d) for d in self.domains}
        return {d: f"{self.stage.name}-{folder_name(d)}" for d in self.domains}


def plan_jobs(recipe: Recipe, data: RecipeData) -> list[Job]:
    """All trainings of a recipe in their order.

    Raises:
        UserError: two jobs make models of one name, or a custom stage starts from a domain that is not there.
    """
    jobs: list[Job] = []
    made: dict[str, dict[str, str]] = {}
    previous = BACKBONE
    for stage in recipe.stages:
        start = previous if stage.start == "previous" else stage.start
        if stage.stage != "custom":
            new = [Job(stage, stage.label, [GENERAL], _start(stage, made.get(start), start, None))]
            previous = stage.label
        else:
            # Custom models end a line: what follows starts from the last model that all of them share.
            domains = data.domains(stage)
            groups = [domains] if stage.joint else [[d] for d in domains]
            labels = [stage.label if stage.joint else f"{stage.label}-{folder_name(d)}" for d in domains]
            new = [
                Job(stage, label, group, _start(stage, made.get(start), start, None if stage.joint else group[0]))
                for label, group in zip(labels, groups, strict=False)
            ]
        made[stage.label] = {domain: name for job in new for domain, name in job.models.items()}
        jobs += new
    _refuse_clashes(jobs)
    for stage in recipe.stages:
        for domain in made[stage.label] if stage.stage == "custom" else ():
            if domain in recipe.general_sets():
                raise UserError(
                    f"the set {domain!r} and the domain {domain!r} are measured beside each other: rename the set"
                )
    return jobs


def _start(stage: StageSpec, models: dict[str, str] | None, start: str, domain: str | None) -> str:
    """The model to start from: an earlier stage's (a custom one has one for each domain), or what `start` says."""
    if models is None:
        return start
    if len(models) == 1 and (domain is None or domain not in models):
        return next(iter(models.values()))
    if domain is None:
        raise UserError(f"stage {stage.label!r}: {start!r} made a model for each domain; start from one shared by all")
    if domain not in models:
        hint = nearest(domain, models)
        raise UserError(
            f"stage {stage.label!r}: {start!r} made no model of {domain!r}{hint}; it has {', '.join(models)}"
        )
    return models[domain]


def _refuse_clashes(jobs: list[Job]) -> None:
    makers: dict[str, str] = {}
    for job in jobs:
        for name in job.models.values():
            if name in makers:
                raise UserError(
                    f"stages {makers[name]!r} and {job.stage.label!r} would both make a model called {name!r}; "
                    "give one of them a name"
                )
            makers[name] = job.stage.label


def require_ranking(job: Job, counts: ItemCounts) -> None:
    """Raises DataError when no preference of the training part ranks anything."""
    if not counts.items:
        raise DataError(
            f"{job.label}: none of {counts.preferences} training preferences ranks anything (all are ties, or their "
            "responses are the same); add others"
        )


def steps_of(stage: StageSpec, items: int) -> int:
    """Optimiser steps of a stage over so many items."""
    per_epoch = -(-items // stage.batch_size)
    steps = max(1, round(per_epoch * stage.epochs))
    return min(steps, stage.max_steps) if stage.max_steps else steps


def training_arguments(
    stage: StageSpec, items: int, seed: int, output: Path, *, world: int = 1, resumed: bool = False
) -> TrainingArguments:
    """The stage in the Trainer's terms."""
    steps = steps_of(stage, items)
    measured = stage.measures
    every = max(1, steps // stage.evaluations) if measured else steps
    save_every = every if stage.keep_best else stage.save_every or every
    warmup = stage.warmup if stage.warmup >= 1 else stage.warmup * steps
    passes = max(1, -(-stage.batch_size // (stage.micro_batch_size * world)))
    return TrainingArguments(
        output_dir=str(output),
        max_steps=steps,
        per_device_train_batch_size=-(-stage.batch_size // (passes * world)),
        gradient_accumulation_steps=passes,
        learning_rate=stage.learning_rate,
        lr_scheduler_type=stage.scheduler,
        warmup_steps=round(warmup),
        weight_decay=stage.weight_decay,
        max_grad_norm=stage.max_grad_norm,
        bf16=stage.bf16,
        # Without a GPU the Trainer takes bfloat16 for a mistake unless the CPU is asked for.
        use_cpu=stage.bf16 and not torch.accelerator.is_available(),
        activation_checkpointing=stage.gradient_checkpointing,
        logging_steps=max(1, min(10, steps // 10)),
        logging_nan_inf_filter=False,
        eval_strategy="steps" if measured else "no",
        eval_steps=every,
        # A run that goes on has its first accuracies already.
        eval_on_start=measured and not resumed,
        save_strategy="steps",
        save_steps=save_every,
        load_best_model_at_end=stage.keep_best is not None,
        metric_for_best_model=f"eval_accuracy_{stage.keep_best}" if stage.keep_best else None,
        greater_is_better=True if stage.keep_best else None,
        restore_callback_states_from_checkpoint=True,
        seed=seed,
        data_seed=seed,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        disable_tqdm=True,
        report_to=_trackers(),
        ddp_find_unused_parameters=False,
    )


def _trackers() -> list[str]:
    """TensorBoard and wandb where they are installed and asked for through their own environment variables."""
    wanted = {"tensorboard": "TENSORBOARD_LOGGING_DIR", "wandb": "WANDB_PROJECT"}
    return [name for name, variable in wanted.items() if os.environ.get(variable) and importlib.util.find_spec(name)]
