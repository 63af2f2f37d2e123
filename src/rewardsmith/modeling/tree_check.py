"""Does an architecture that nobody has tried give the same rewards with prompt trees as without?

What `tree_attention` refuses by its configuration never comes here, and what the tests hold equal need not.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from rewardsmith.batching.layout import DEFAULT_TOKEN_BUDGET, Layout
from rewardsmith.batching.tokenizing import TokenizedResponse
from rewardsmith.errors import ModelError
from rewardsmith.modeling import tree_attention
from rewardsmith.modeling.backbone import layers_of

if TYPE_CHECKING:
    from rewardsmith.modeling.reward_model import RewardModel

_SAMPLE = 8
"""Sequences that are compared: a few prompts with their responses."""
_TOLERANCE = {torch.bfloat16: 0.1, torch.float16: 0.02}
_FLOAT32 = 1e-3
"""Relative to the largest value; exact architectures are below 1e-5."""
_HEAD = "the head"


def ensure_trees(model: RewardModel, sequences: Sequence[TokenizedResponse]) -> None:
    """Once for a model of an untried architecture: takes padded rows where trees change its rewards.

    `sequences` are what is about to be run; the first few are run both ways.
    """
    if not model.trees or model.trees_checked or not sequences:
        return
    model.trees_checked = True
    kind = model.inner.config.get_text_config().model_type
    if kind in tree_attention.VERIFIED:
        return
    if where := differs_first(model, sequences[:_SAMPLE]):
        model.trees = False
        print(
            f"{kind} does not give the same rewards with prompt trees ({where} is the first to differ): padded rows "
            "are used",
            file=sys.stderr,
        )


@torch.no_grad()
def differs_first(model: RewardModel, sequences: Sequence[TokenizedResponse]) -> str | None:
    """The first layer whose states at the last tokens are others with trees than with padded rows, or the head; None
    where the rewards are the same up to rounding."""
    was_training = model.training
    model.eval()
    trees, padded = (_measure(model, sequences, form) for form in (True, False))
    model.train(was_training)
    tolerance = _TOLERANCE.get(next(model.inner.parameters()).dtype, _FLOAT32)
    differing = [
        name for name, wanted in padded.items() if (trees[name] - wanted).abs().max() > tolerance * wanted.abs().max()
    ]
    return differing[0] if _HEAD in differing else None


def _measure(model: RewardModel, sequences: Sequence[TokenizedResponse], trees: bool) -> dict[str, torch.Tensor]:
    """Each layer's states at the sequences' last tokens [n, H], from below, and the head's rewards [n, outputs]."""
    passes = [r.to(model.device) for r in Layout(model.layout().pad_id, trees, DEFAULT_TOKEN_BUDGET).rows(sequences)]
    try:
        layers = list(layers_of(model.backbone, model.inner.config.get_text_config().num_hidden_layers))
    except ModelError:  # layers kept otherwise only leave the difference without a place
        layers = []
    with ExitStack() as stack:
        seen = {f"layer {k}": stack.enter_context(_outputs(layer)) for k, layer in enumerate(layers)}
        rewards = model(passes).rewards
    order = torch.cat([rows.sequence for rows in passes]).argsort()
    states = {
        name: torch.cat([s.flatten(0, 1)[rows.last] for s, rows in zip(given, passes, strict=True)])[order]
        for name, given in seen.items()
    }
    return {**states, _HEAD: rewards}


@contextmanager
def _outputs(layer: nn.Module) -> Iterator[list[torch.Tensor]]:
    """Within it, what `layer` gives at each call."""
    given: list[torch.Tensor] = []

    def keep(_: nn.Module, inputs: Any, output: Any) -> None:
        given.append(output if isinstance(output, torch.Tensor) else output[0])

    handle = layer.register_forward_hook(keep)
    try:
        yield given
    finally:
        handle.remove()
