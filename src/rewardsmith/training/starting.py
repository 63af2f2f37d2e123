"""The model that a job starts from: built on the backbone, made by an earlier stage, or read from a folder.

What cannot be is found without weights, before anything is computed or written.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rewardsmith.modeling.backbone import merged
from rewardsmith.modeling.building import (
    add_lora,
    build_reward_model,
    freeze_layers,
    prepare_imitation,
    refuse_imitation,
)
from rewardsmith.modeling.domains import replace_domains
from rewardsmith.modeling.loading import check_reward_model
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.training.jobs import Job
from rewardsmith.training.recipe import BACKBONE, Recipe
from rewardsmith.training.run_folder import RunFolder


def starting_model(job: Job, recipe: Recipe, folder: RunFolder) -> RewardModel:
    """The model as `job` begins to train it.

    Raises:
        ModelError: the backbone or the folder cannot be what the recipe asks for.
    """
    spec = recipe.backbone
    if job.start == BACKBONE:
        model = build_reward_model(spec.model_copy(update={"lora": None}), job.domains)
    else:
        model = RewardModel.from_pretrained(_folder(job) or folder.model(job.start), device="cpu")
        model.network = merged(model.network)
        replace_domains(model, job.domains)
    if spec.lora is not None:
        add_lora(model, spec.lora, job.stage.freeze_layers)
    if job.stage.losses.imitation:
        prepare_imitation(model, spec)
    return model


def check_starts(recipe: Recipe, jobs: Sequence[Job]) -> RewardModel | None:
    """Refuses what `starting_model` would refuse, and returns the backbone's shape, without weights.

    The result is None where every job starts from a folder: then nothing is built on the recipe's backbone.

    Raises:
        ModelError: as `starting_model`, or more layers are to be frozen than there are.
    """
    shape = None
    if any(job.start == BACKBONE for job in jobs):
        shape = build_reward_model(recipe.backbone, weights=False)
    for job in jobs:
        if (folder := _folder(job)) is not None:
            check_reward_model(folder)
        elif shape is not None:
            freeze_layers(shape, job.stage.freeze_layers)
            if job.stage.losses.imitation:
                refuse_imitation(shape, recipe.backbone)
    return shape


def _folder(job: Job) -> Path | None:
    """The folder that the job starts from, where it is none of the run's own models."""
    return Path(job.start).expanduser() if "/" in job.start else None
