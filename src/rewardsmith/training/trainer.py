"""The trainer: transformers' `Trainer` with preference batches, global normalisation and accuracies on the way.

Losses are divided by counts over the whole global batch (all micro-batches of all processes), so that neither
accumulation nor the number of processes changes a gradient. It knows nothing of recipes' files or of stages' order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import Trainer, TrainingArguments

from rewardsmith.batching.items import Item
from rewardsmith.batching.sharding import ShardedBatches
from rewardsmith.errors import TrainingError, UserError
from rewardsmith.modeling.reward_model import RewardModel, RewardOutput
from rewardsmith.modeling.tree_check import ensure_trees
from rewardsmith.training.batch import Batch, Collator
from rewardsmith.training.losses import (
    centring_loss,
    distillation_loss,
    gate_loss,
    grm_imitation,
    imitation_nll,
    l2_sp,
    ranking_loss,
)
from rewardsmith.training.projection import GradientProjection
from rewardsmith.training.recipe import LossSpec
from rewardsmith.training.sharded import keep_outputs, weights_are_sharded

_COMPARED = 4
"""Items that an untried architecture is compared on, with trees and without, before it is trained."""

Evaluator = Callable[[RewardModel], dict[str, float]]
"""Gives the accuracies of a model by name: `general`, `custom`, and each set's."""


BOTH = "both"
"""The figure of custom accuracy less the loss of general accuracy since the start."""


class PreferenceTrainer(Trainer):
    """Trains a `RewardModel` on items.

    Args:
        losses: which losses, with their weights.
        batch_size: items in one optimiser step, over all processes.
        drawn: how many of the general items, which come last, an epoch has; None takes all.
        head_learning_rate: for the reward head; None takes the common one.
        evaluator: called at every evaluation; None measures nothing.
    """

    def __init__(
        self,
        model: RewardModel,
        args: TrainingArguments,
        items: Sequence[Item],
        losses: LossSpec,
        *,
        batch_size: int,
        token_budget: int,
        drawn: int | None = None,
        head_learning_rate: float | None = None,
        evaluator: Evaluator | None = None,
        callbacks: list[Any] | None = None,
    ) -> None:
        self.losses, self.batch_size, self.drawn, self.evaluator = losses, batch_size, drawn, evaluator
        self.head_learning_rate = head_learning_rate
        ensure_trees(model, [sequence for item in items[:_COMPARED] for sequence in item.responses])
        layout = model.layout(token_budget, "sequence" if losses.imitation_scaling == "sequence" else "response")
        super().__init__(
            model=model,
            args=args,
            train_dataset=list(items),
            eval_dataset=[] if evaluator else None,
            data_collator=Collator(losses, layout, items[0]),  # type: ignore[arg-type]
            callbacks=callbacks,
        )
        # Our losses are divided by the counts of the whole accumulated batch already.
        self.loss_is_scaled_for_ga = True
        self.sharded = weights_are_sharded()
        keep_outputs(self)
        if self.sharded and losses.l2_sp:
            raise UserError("l2_sp needs whole weights, and FSDP and ZeRO-3 shard them; take distillation, or DDP")
        # Held for this loss alone: where weights are sharded, a reference to the whole ones would keep their memory.
        self._trained = [p for p in model.parameters() if p.requires_grad] if losses.l2_sp else []
        self._start = [p.detach().clone() for p in self._trained]
        if losses.projection and args.world_size > 1:
            raise UserError("losses.projection works in one process; start without a launcher, or take distillation")
        self._projection = GradientProjection(model.parameters()) if losses.projection else None

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Batches already shared out over processes, so accelerate must not share them out again."""
        assert isinstance(self.model, RewardModel)
        items: Any = self.train_dataset
        batches = ShardedBatches(
            [item.tree_tokens if self.model.trees else item.tokens for item in items],
            self.batch_size,
            self.args.gradient_accumulation_steps,
            rank=self.args.process_index,
            world=self.args.world_size,
            seed=self.args.seed,
            rotating=0 if self.drawn is None else sum(item.general for item in items),
            drawn=self.drawn or 0,
        )
        return _EpochLoader(items, batch_sampler=batches, collate_fn=self.data_collator)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """AdamW with the head in a group of its own."""
        if self.optimizer is None:
            assert isinstance(self.model, RewardModel)
            head = {id(p) for p in self.model.head.parameters()}
            trained = [p for p in self.model.parameters() if p.requires_grad]
            groups = [
                {"params": [p for p in trained if id(p) not in head], "lr": self.args.learning_rate},
                {
                    "params": [p for p in trained if id(p) in head],
                    "lr": self.head_learning_rate or self.args.learning_rate,
                },
            ]
            self.optimizer = torch.optim.AdamW(
                [g for g in groups if g["params"]],
                betas=(self.args.adam_beta1, self.args.adam_beta2),
                eps=self.args.adam_epsilon,
                weight_decay=self.args.weight_decay,
                fused=True,
            )
        return self.optimizer

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Forward and backward; with the last micro-batch of a step its gradient is projected."""
        loss = super().training_step(*args, **kwargs)
        if self._projection is not None and self.accelerator.sync_gradients:
            self._projection.apply()
        return loss

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """The weighted sum of losses, each over its global count; times the processes, whose gradients are averaged."""
        batch: Batch = inputs
        output: RewardOutput = model(batch.rows)
        loss: torch.Tensor = self._losses(output, batch, num_items_in_batch) * self.args.world_size
        if self._projection is not None and len(batch.held):
            self._projection.hold(ranking_loss(output.rewards, batch.held))
        if self.losses.l2_sp:
            passes = self.current_gradient_accumulation_steps
            loss = loss + self.losses.l2_sp / passes * l2_sp(self._trained, self._start)
        if not torch.isfinite(loss):
            shown = ", ".join(batch.records[:8])
            raise TrainingError(
                f"the loss is {loss.item()} at step {self.state.global_step + 1}; the records of this batch: {shown}; "
                "lower the learning rate or look at these records"
            )
        return loss

    def _losses(self, output: RewardOutput, batch: Batch, counts: torch.Tensor) -> torch.Tensor:
        spec = self.losses
        units, kept_units, tokens, imitated, placed = counts.clamp(min=1).to(output.rewards.dtype)
        rank = ranking_loss(output.rewards, batch.pairs, spec.label_smoothing) / units
        total: torch.Tensor = spec.ranking * rank
        if spec.imitation and spec.imitation_scaling == "grm":
            regulariser = grm_imitation(output.lm_nll, batch.imitated) / imitated
            total = (1 - spec.imitation) * total + spec.imitation * regulariser
        elif spec.imitation:
            total = total + spec.imitation * imitation_nll(output.lm_nll) / tokens
        if spec.centring:
            total = total + spec.centring * centring_loss(output.rewards, batch.pairs) / units
        if spec.gate and output.gate.shape[1]:
            total = total + spec.gate * gate_loss(output.gate, batch.expert, batch.share) / placed
        if spec.distillation:
            temperature = spec.distillation_temperature
            kept = distillation_loss(output.rewards, batch.reference, batch.kept, temperature)
            total = total + spec.distillation * kept / kept_units
        return total

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Accuracies on the validation parts, under `eval_accuracy_<name>`."""
        assert self.evaluator is not None and isinstance(self.model, RewardModel)
        found = self.evaluator(self.model)
        if self.args.metric_for_best_model == f"eval_accuracy_{BOTH}" and {"general", "custom"} <= found.keys():
            # The history comes back with a checkpoint: a run that goes on has the same start.
            start = next((e for e in self.state.log_history if "eval_accuracy_general" in e), {})
            lost = start.get("eval_accuracy_general", found["general"]) - found["general"]
            found = found | {BOTH: found["custom"] - max(0.0, lost)}
        figures = {f"eval_accuracy_{name}": value for name, value in found.items()}
        self.log(figures)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, figures)
        return figures

    def floating_point_ops(self, inputs: Any) -> int:
        """Not counted: the Trainer's estimate knows padded `input_ids` only."""
        return 0

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: torch.device) -> tuple[list[Any], Any]:
        """The micro-batches of one optimiser step with their counts; of sharded weights, which are gathered in every
        pass, in as many passes on all processes."""
        batches, counts = super().get_batch_samples(epoch_iterator, num_batches, device)
        if self.sharded:
            passes = torch.tensor([len(batch.rows) for batch in batches], device=device)
            most = self.accelerator.gather(passes).view(self.args.world_size, -1).amax(dim=0)
            batches = [batch.in_passes(count) for batch, count in zip(batches, most.tolist(), strict=True)]
        return batches, counts

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> Any:
        """What the losses of one optimiser step are divided by, over all its micro-batches and all processes."""
        counts = torch.stack([batch.counts for batch in batch_samples]).sum(dim=0).float().to(device)
        if self.args.world_size > 1:
            counts = self.accelerator.gather(counts).view(self.args.world_size, -1).sum(dim=0)
        return counts

    def _prepare_inputs(self, inputs: Any) -> Any:
        return inputs.to(self.args.device)


class _EpochLoader(DataLoader[Any]):
    """Hands the epoch on to its batch sampler."""

    def set_epoch(self, epoch: int) -> None:
        sampler: Any = self.batch_sampler
        sampler.set_epoch(epoch)
