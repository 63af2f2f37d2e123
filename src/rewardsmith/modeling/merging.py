"""Merging models that were trained from the same one: general weights plus a merge of the task vectors.

A task vector is a trained model's weights minus the general ones (Ilharco et al. 2023, arXiv 2212.04089). The merges
are peft's, tensor by tensor:

- mean: weight averaging of reward models (WARM, Ramé et al. 2024, arXiv 2401.12187)
- ties: the share `density` of the largest entries is kept, then of each entry the values with the majority's sign are
  averaged (TIES, Yadav et al. 2023, arXiv 2306.01708; with one model trimming alone is left of it)
- dare: a random share `density` of the entries is kept and divided by it, then averaged (DARE, Yu et al. 2024, arXiv
  2311.03099)
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Literal

import torch

from rewardsmith.errors import ModelError
from rewardsmith.modeling.reward_model import RewardModel

Merge = Literal["mean", "ties", "dare"]


@torch.no_grad()
def merged(
    general: RewardModel, trained: Sequence[RewardModel], merge: Merge, density: float = 1.0, *, seed: int = 0
) -> RewardModel:
    """A model with `general`'s weights plus the merge of the trained models' task vectors; all these stay as they are.

    Args:
        density: share of entries kept, above 0 and up to 1; of no meaning to the mean.
        seed: of what `dare` drops.

    Raises:
        ModelError: the models are not of one shape.
    """
    start, states = general.state_dict(), [model.state_dict() for model in trained]
    for state in states:
        if state.keys() != start.keys() or any(state[key].shape != start[key].shape for key in start):
            raise ModelError("the models are not of one shape: their weights cannot be merged")
    new = copy.deepcopy(trained[0])
    weights = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for key, there in start.items():
            base = there.float().cpu()
            change = _merge([state[key].float().cpu() - base for state in states], merge, density)
            weights[key] = (base + change).to(there.dtype)
    new.load_state_dict(weights)
    return new


def _merge(tasks: list[torch.Tensor], merge: Merge, density: float) -> torch.Tensor:
    from peft.utils.merge_utils import dare_linear, task_arithmetic, ties

    if merge == "ties":
        # peft weighs before it averages over the values that have the sign: ones give the paper's mean.
        return ties(tasks, torch.ones(len(tasks)), density)
    weights = torch.full((len(tasks),), 1 / len(tasks))
    return dare_linear(tasks, weights, density) if merge == "dare" else task_arithmetic(tasks, weights)
