"""Does an architecture that nobody has tried give the same rewards with prompt trees as without?

What `tree_attention` refuses by its configuration never comes here, and what the tests hold equal need not.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from rewardsmith.batching.layout import DEFAULT_TOKEN_BUDGET, Layout
from rewardsmith.batching.tokenizing import TokenizedResponse
from rewardsmith.modeling import tree_attention

if TYPE_CHECKING:
    from rewardsmith.modeling.reward_model import RewardModel

_SAMPLE = 8
"""Sequences that are compared: a few prompts with their responses."""
_TOLERANCE = {torch.bfloat16: 0.1, torch.float16: 0.02}
_FLOAT32 = 1e-3
"""Relative to the largest reward; exact architectures are below 1e-5."""


def ensure_trees(model: RewardModel, sequences: Sequence[TokenizedResponse]) -> None:
    """Once for a model of an untried architecture: takes padded rows where trees change its rewards.

    `sequences` are what is about to be run; the first few are run both ways.
    """
    if not model.trees or model.trees_checked or not sequences:
        return
    model.trees_checked = True
    kind = model.inner.config.get_text_config().model_type
    if kind not in tree_attention.VERIFIED and not trees_agree(model, sequences[:_SAMPLE]):
        model.trees = False
        print(f"{kind} does not give the same rewards with prompt trees: padded rows are used", file=sys.stderr)


@torch.no_grad()
def trees_agree(model: RewardModel, sequences: Sequence[TokenizedResponse]) -> bool:
    """Whether rewards with trees and with padded rows are the same up to rounding."""
    was_training = model.training
    model.eval()
    trees, padded = (
        model([r.to(model.device) for r in _layout(model, form).rows(sequences)]).rewards for form in (True, False)
    )
    model.train(was_training)
    tolerance = _TOLERANCE.get(next(model.inner.parameters()).dtype, _FLOAT32)
    return bool((trees - padded).abs().max() <= tolerance * padded.abs().max())


def _layout(model: RewardModel, trees: bool) -> Layout:
    return Layout(model.layout().pad_id, trees, DEFAULT_TOKEN_BUDGET)
