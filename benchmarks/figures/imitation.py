"""Ranking with imitation: one pass of ours against two padded ones, as in the paper's code.

There (Cheng et al. 2023, github.com/Linear95/DSP) the ranking loss takes a padded batch, and the language-modelling
loss runs the preferred responses once more with logits for every token. The first is TRL's own; the second is added.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F
from trl.trainer.reward_trainer import RewardTrainer

from benchmarks.measured import Measured, compared
from benchmarks.peers import best_options, by_length, pair_rows, peer_network, trl_side
from benchmarks.timing import alternate, fastest
from benchmarks.training import our_side
from benchmarks.workload import STEP, Setting, random_pairs, reward_model
from rewardsmith.modeling.building import prepare_imitation
from rewardsmith.modeling.spec import BackboneSpec
from rewardsmith.training.recipe import LossSpec

_LOSSES = LossSpec(imitation=1.0, imitation_scaling="sequence")
"""As in the paper's code: prompt and preferred response are imitated."""
_SIZES = (2, 4)


class TwoPasses(RewardTrainer):
    """TRL's ranking pass, and another over the chosen sequences with all logits."""

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        ids, mask = (inputs[name].chunk(2)[0] for name in ("input_ids", "attention_mask"))
        ranking: torch.Tensor = super().compute_loss(model, inputs)  # type: ignore[no-untyped-call]
        hidden = model.base_model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
        logits = F.linear(hidden, model.get_input_embeddings().weight)
        targets = ids.masked_fill(mask == 0, -100)[:, 1:]
        return ranking + F.cross_entropy(logits[:, :-1].float().flatten(0, 1), targets.flatten(), ignore_index=-100)


def imitation(setting: Setting) -> Measured:
    """One step of random pairs; the two passes at their best batch size, without checkpointing."""
    model = reward_model(setting)
    items = random_pairs(setting, model, STEP)
    rows, network = by_length(pair_rows(items)), peer_network(setting, model)
    prepare_imitation(model, BackboneSpec(model=str(model.info.provenance["backbone"])))
    sides = {
        b: trl_side(setting, f"two passes ({b} pairs each)", network, model, rows, best_options(b), TwoPasses)
        for b in _SIZES
    }
    best = fastest(sides)
    ours = our_side(setting, model, items, losses=_LOSSES)
    return compared(
        alternate([ours, sides[best]], setting.repeats),
        sides[best].name,
        work=f"{len(items)} random pairs of helpful and harmless, one step, prompt and preferred response imitated",
        notes=[
            f"two passes: no checkpointing, sorted by length, the faster of {_SIZES} pairs a pass; their imitation "
            "loss is a mean of means, so the losses differ a little"
        ],
    )
