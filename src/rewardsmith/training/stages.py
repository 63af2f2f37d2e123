"""Runs one job: builds or loads its model, lays out its items, trains, keeps the models.

What is written goes through the main process alone; the others wait for it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from accelerate import PartialState
from rich.console import Console
from safetensors import SafetensorError
from transformers import EarlyStoppingCallback, TrainerState, set_seed
from transformers.trainer_callback import PrinterCallback
from transformers.trainer_callback import ProgressCallback as PlainProgress

from rewardsmith.batching.items import Item, ItemCounts, build_items
from rewardsmith.errors import RewardsmithError
from rewardsmith.modeling.building import freeze_layers
from rewardsmith.modeling.compiling import compile_modules
from rewardsmith.modeling.domains import domain_model
from rewardsmith.modeling.info import RewardScale
from rewardsmith.modeling.reuse import reused_layers
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.preferences.record import Preference, content_hash
from rewardsmith.training.callbacks import (
    CheckpointCallback,
    MetricsCallback,
    ProgressCallback,
    is_finished,
    last_whole_checkpoint,
)
from rewardsmith.training.data import RecipeData
from rewardsmith.training.jobs import Job, require_ranking, training_arguments
from rewardsmith.training.monitoring import validation_of
from rewardsmith.training.recipe import Recipe, StageSpec
from rewardsmith.training.run_folder import RunFolder
from rewardsmith.training.sharded import gathered, weights_are_sharded
from rewardsmith.training.starting import starting_model
from rewardsmith.training.testing import score_test_sets
from rewardsmith.training.trainer import PreferenceTrainer


@dataclass(frozen=True)
class Workplace:
    """What all jobs of a run share."""

    recipe: Recipe
    data: RecipeData
    folder: RunFolder
    console: Console


def run_job(job: Job, place: Workplace) -> None:
    """Trains the job's models unless they are finished already; goes on from the last whole checkpoint.

    Raises:
        DataError: no preference of the training part ranks anything.
        RewardsmithError: a checkpoint or model cannot be written.
        TrainingError: the loss is not finite.
    """
    folder, console = place.folder, place.console
    if all(folder.has_model(name) for name in job.models.values()):
        console.print(f"[dim]{job.label}: done already[/dim]")
        return
    set_seed(place.recipe.seed)
    model = starting_model(job, place.recipe, folder).to(PartialState().device)
    _freeze(model, job.stage)
    # Processes remember different texts, and sharded layers run on all of them or on none.
    reusing = nullcontext() if weights_are_sharded() else reused_layers(model, job.stage.freeze_layers)
    with reusing:
        work = _work(job, model, place.data, place.recipe.seed)
        _report(job, work, console)
        resume = _checkpoint_to_go_on_from(job, folder)
        if resume is not None:
            console.print(f"{job.label}: going on from {resume.name}")
        if job.stage.compile:
            compile_modules(model.backbone)
        trainer = _trainer(job, model, work, place, resumed=resume is not None)
        _train(job, trainer, resume, folder)
        whole = gathered(trainer, lambda: starting_model(job, place.recipe, folder)) if trainer.sharded else model
        if whole is not None and trainer.is_world_process_zero():
            _save(job, whole, place, trainer.state.global_step)
            shutil.rmtree(folder.checkpoints(job.label), ignore_errors=True)
            score_test_sets(
                whole, {job.models[d]: whole.output_of(d) for d in job.domains}, place.recipe, place.data, folder
            )


def _checkpoint_to_go_on_from(job: Job, folder: RunFolder) -> Path | None:
    """Tidies up what an interruption left; all processes then see the same."""
    with PartialState().main_process_first():
        resume = last_whole_checkpoint(folder.checkpoints(job.label), tidy=PartialState().is_main_process)
        if PartialState().is_main_process:
            folder.truncate_metrics(job.label, _step(resume))
    return resume


def _train(job: Job, trainer: PreferenceTrainer, resume: Path | None, folder: RunFolder) -> None:
    try:
        if resume is not None and is_finished(resume):
            # Interrupted between the last step and saving the model; the Trainer would make a step too many.
            trainer.state = TrainerState.load_from_json(str(resume / "trainer_state.json"))
            best = trainer.state.best_model_checkpoint if job.stage.keep_best else None
            trainer._load_from_checkpoint(best or str(resume))
        else:
            trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    except (OSError, SafetensorError, RuntimeError) as error:
        if isinstance(error, RewardsmithError) or (isinstance(error, RuntimeError) and not _is_writing(error)):
            raise
        raise RewardsmithError(
            f"{job.label}: a checkpoint could not be written to {folder.checkpoints(job.label)} "
            f"({getattr(error, 'strerror', None) or error}); the last whole one is kept: make room and run the same "
            "command again"
        ) from error


def _is_writing(error: RuntimeError) -> bool:
    """PyTorch's own archive writer raises nothing more telling when the disk is full."""
    return "PytorchStreamWriter" in str(error) or "inline_container" in str(error)


class _Work(NamedTuple):
    """What a job trains on: its items, enrichment last, and how many of that an epoch has (None: all)."""

    items: list[Item]
    drawn: int | None
    custom: ItemCounts
    enrichment: ItemCounts | None

    @property
    def in_epoch(self) -> int:
        """Items of an epoch."""
        general = sum(item.general for item in self.items)
        return len(self.items) - general + (general if self.drawn is None else min(self.drawn, general))


def _work(job: Job, model: RewardModel, data: RecipeData, seed: int) -> _Work:
    keep_ties = job.stage.losses.ties == "half"
    preferences = data.training(job.stage, job.own_domains, seed)
    experts = model.info.experts or []
    items, counts = build_items(preferences, model.text, job.domains, keep_ties=keep_ties, experts=experts)
    require_ranking(job, counts)
    # A joint stage has one item for a query judged by several domains: enrichment is counted in queries too.
    general = data.enrichment(job.stage, len(items), seed)
    if not general:
        return _Work(items, None, counts, None)
    extra, extra_counts = build_items(
        general, model.text, job.domains, general=True, keep_ties=keep_ties, experts=experts
    )
    if job.stage.losses.distillation:
        extra = _with_reference(extra, model)
    spec = job.stage.enrichment
    drawn = data.drawn(spec, len(items)) if spec and spec.resampled else None
    return _Work(items + extra, drawn, counts, extra_counts)


def _with_reference(items: Sequence[Item], model: RewardModel) -> list[Item]:
    """The items with the rewards that the starting model gives them."""
    rewards = iter(model.rewards_of([r for item in items for r in item.responses]).tolist())
    return [replace(item, reference=tuple(tuple(next(rewards)) for _ in item.responses)) for item in items]


def _freeze(model: RewardModel, stage: StageSpec) -> None:
    freeze_layers(model, stage.freeze_layers)
    if model.lm_head is not None:
        # It is never saved with a reward model: what it learnt would be lost.
        model.lm_head.requires_grad_(False)
    if stage.stage == "base":
        model.head.requires_grad_(False)


def _trainer(job: Job, model: RewardModel, work: _Work, place: Workplace, *, resumed: bool) -> PreferenceTrainer:
    stage, seed, folder = job.stage, place.recipe.seed, place.folder
    losses = stage.losses
    if stage.stage == "base":
        losses = losses.model_copy(update={"ranking": 0.0})
    evaluator = validation_of(job, place.recipe, place.data)
    callbacks: list[Any] = [MetricsCallback(folder, job.label), CheckpointCallback()]
    if stage.patience is not None:
        callbacks.append(EarlyStoppingCallback(stage.patience))
    world = PartialState().num_processes
    trainer = PreferenceTrainer(
        model,
        training_arguments(stage, work.in_epoch, seed, folder.checkpoints(job.label), world=world, resumed=resumed),
        work.items,
        losses,
        batch_size=stage.batch_size,
        drawn=work.drawn,
        token_budget=stage.token_budget,
        head_learning_rate=stage.head_learning_rate,
        evaluator=evaluator,
        callbacks=[*callbacks, ProgressCallback(place.console, job.label)],
    )
    for plain in (PrinterCallback, PlainProgress):
        trainer.remove_callback(plain)
    return trainer


def _save(job: Job, model: RewardModel, place: Workplace, steps: int) -> None:
    """Saves a model for each domain, with the scale of its rewards on general preferences."""
    seen = sorted({content_hash(p.prompt_key()) for p in _seen(job, place.data)})
    general = _general_sets(job.stage, place.recipe)
    for domain, name in job.models.items():
        single = domain_model(model, domain)
        # A certificate is about the model that it was made for, and this is another.
        before = {key: value for key, value in model.info.provenance.items() if key != "certificate"}
        single.reference = None
        single.info = single.info.model_copy(
            update={
                "trained_on": sorted({*model.info.trained_on, *seen}),
                "reward_scale": _scale(single, general, place.data),
                "provenance": before | {"stages": [*before.get("stages", []), job.label], "steps": steps},
            }
        )
        single.save_pretrained(place.folder.model(name), overwrite=True)


def _seen(job: Job, data: RecipeData) -> list[Preference]:
    sets = [*job.stage.weights(), *(job.stage.enrichment.sets if job.stage.enrichment else [])]
    return [p for name in sets for p in data.measured(name, "train")]


_SCALE_SAMPLE = 100


def _general_sets(stage: StageSpec, recipe: Recipe) -> list[str]:
    """The sets that give the rewards their scale: the stage's own, those it is enriched with, or the run's."""
    if stage.stage != "custom":
        return list(stage.weights())
    return stage.enrichment.sets if stage.enrichment else recipe.general_sets()


def _scale(model: RewardModel, sets: list[str], data: RecipeData) -> RewardScale | None:
    """Mean and spread on general training preferences; None where the run has no general set."""
    preferences = [p for name in sets for p in data.measured(name, "train")][:_SCALE_SAMPLE]
    rewards = [r for row in model.score_preferences(preferences) for r in row]
    if len(rewards) < 2:
        return None
    mean = sum(rewards) / len(rewards)
    std = (sum((r - mean) ** 2 for r in rewards) / (len(rewards) - 1)) ** 0.5
    return RewardScale(mean=mean, std=max(std, 1e-12), n=len(rewards), source=", ".join(sets))


def _report(job: Job, work: _Work, console: Console) -> None:
    custom = work.custom
    text = (
        f"[bold]{job.label}[/bold]: {custom.ranking} preferences in {custom.items} texts, {custom.tree_tokens:,} tokens"
    )
    if custom.ranking_nothing:
        text += f", {custom.ranking_nothing} rank nothing and are left out"
    if custom.prompts_cut or custom.responses_cut:
        text += f", {custom.prompts_cut} prompts and {custom.responses_cut} responses cut"
    if work.enrichment:
        text += f"; enriched with {work.enrichment.ranking} general preferences"
        if work.drawn is not None:
            text += f", {work.drawn} in an epoch"
    console.print(text, highlight=False)


def _step(checkpoint: Path | None) -> int:
    if checkpoint is None:
        return -1
    state: dict[str, int] = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    return state["global_step"]
