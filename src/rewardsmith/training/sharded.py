"""Sharded weights: each process keeps its part and gathers a layer when it runs it (FSDP2, ZeRO-3).

Every forward pass is then a collective operation, and no process holds a model that could be saved or scored with.
DDP and ZeRO-1 and 2 keep whole weights everywhere and need nothing of this. It knows nothing of recipes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from accelerate.utils import parse_flag_from_env
from transformers import Trainer

from rewardsmith.errors import UserError
from rewardsmith.modeling.reward_model import RewardModel


def weights_are_sharded() -> bool:
    """Whether `accelerate launch` was told to split the weights over the processes.

    Raises:
        UserError: FSDP's first version, which flattens weights and has been superseded.
    """
    if parse_flag_from_env("ACCELERATE_USE_FSDP"):
        if os.environ.get("FSDP_VERSION", "1") != "2":
            raise UserError("FSDP1 is not supported; set fsdp_version: 2 in accelerate's configuration")
        return True
    return parse_flag_from_env("ACCELERATE_USE_DEEPSPEED") and os.environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE") == "3"


def keep_outputs(trainer: Trainer) -> None:
    """Lets rewards leave the model in float32: accelerate's policy for bfloat16 would round them on the way out."""
    plugin: Any = getattr(trainer.accelerator.state, "fsdp_plugin", None)
    policy = getattr(plugin, "mixed_precision_policy", None)
    if policy is not None:
        plugin.mixed_precision_policy = replace(policy, output_dtype=None)


def gathered(trainer: Trainer, like: Callable[[], RewardModel]) -> RewardModel | None:
    """The trained model with whole weights, on the main process; None on the others. All processes must call it.

    `like` makes a model of the same shape, on the CPU.
    """
    state = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if not trainer.is_world_process_zero():
        return None
    model = like()
    model.load_state_dict(state)
    return model.to(trainer.args.device)
