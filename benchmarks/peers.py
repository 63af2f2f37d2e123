"""The peers' packages, driven as their users drive them: TRL's RewardTrainer with its own collator, loss and loop.

Both sides get the same weights and the same tokens: the network is the one we saved, loaded by the Auto class.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import datasets
import psutil
import torch
from transformers import AutoModelForSequenceClassification, PreTrainedModel
from trl.trainer.reward_config import RewardConfig
from trl.trainer.reward_trainer import RewardTrainer

from benchmarks.timing import Side
from benchmarks.training import LEARNING_RATE, timed
from benchmarks.workload import LENGTH, SEED, STEP, Setting
from rewardsmith.batching.items import Item
from rewardsmith.modeling.backbone import quiet
from rewardsmith.modeling.domains import domain_model
from rewardsmith.modeling.reward_model import RewardModel

Options = Mapping[str, Any]

AS_IT_COMES: Options = {}
"""RewardConfig's defaults: gradient checkpointing, 8 pairs a batch, random order, fused AdamW."""

BATCH_SIZES = (2, 4, 8)
"""What TRL's best batch size is looked for among."""

_FLOATS_A_TOKEN = 34
"""Activations kept for the backward pass, for each token, layer and unit of width (Korthikanti et al. 2022)."""

datasets.disable_progress_bars()


def best_options(batch: int, step: int = STEP) -> Options:
    """No gradient checkpointing; `batch` pairs a pass, accumulated to `step` pairs; rows in the order given, which the
    caller has grouped by length."""
    return {
        "gradient_checkpointing": False,
        "per_device_train_batch_size": batch,
        "gradient_accumulation_steps": -(-step // batch),
        "train_sampling_strategy": "sequential",
    }


def peer_network(setting: Setting, model: RewardModel, domain: str | None = None) -> PreTrainedModel:
    """The same weights as a plain network of transformers, with the head of `domain` (or the first)."""
    folder = setting.scratch / "peer"
    auto: Any = AutoModelForSequenceClassification
    with quiet():
        domain_model(model, domain or model.info.domains[0]).save_pretrained(folder, overwrite=True)
        network: PreTrainedModel = auto.from_pretrained(folder, dtype=torch.float32)
    return network


def pair_rows(items: Iterable[Item], output: int | None = None) -> list[dict[str, list[int]]]:
    """Every ranked pair of every judgement (of one output, where it is named) as TRL's tokenised row."""
    return [
        {"chosen_ids": list(item.responses[i].ids), "rejected_ids": list(item.responses[j].ids)}
        for item in items
        for judgement in item.judgements
        if output is None or judgement.output == output
        for i, j in item.pairs(judgement)
    ]


def by_length(rows: Sequence[dict[str, list[int]]]) -> list[dict[str, list[int]]]:
    """The longest first, so that little is padded: at least as well grouped as transformers' `group_by_length`."""
    return sorted(rows, key=lambda row: -max(map(len, row.values())))


def trl_trainer(
    setting: Setting,
    network: PreTrainedModel,
    model: RewardModel,
    rows: Sequence[dict[str, list[int]]],
    options: Options,
    kind: type[RewardTrainer] = RewardTrainer,
) -> RewardTrainer:
    """TRL's trainer over `rows` once; what `options` do not name stays as TRL has it."""
    settings = {"max_length": LENGTH, "learning_rate": LEARNING_RATE, **options}
    arguments = RewardConfig(
        output_dir=str(setting.scratch / "trl"),
        num_train_epochs=1,
        # TRL asks for bfloat16 everywhere; on a CPU both sides run in float32.
        bf16=setting.bf16,
        use_cpu=setting.device == "cpu",
        seed=SEED,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **settings,
    )
    data = datasets.Dataset.from_list(list(rows))
    return kind(model=network, args=arguments, train_dataset=data, processing_class=model.tokenizer)


def trl_side(
    setting: Setting,
    name: str,
    network: PreTrainedModel,
    model: RewardModel,
    rows: Sequence[dict[str, list[int]]],
    options: Options,
    kind: type[RewardTrainer] = RewardTrainer,
) -> Side:
    """One pass of TRL's over the rows."""
    return Side(name, lambda: timed(trl_trainer(setting, network, model, rows, options, kind)))


def batch_sizes_that_fit(setting: Setting, network: PreTrainedModel, rows: Sequence[dict[str, list[int]]]) -> list[int]:
    """Those batch sizes whose activations have room in the memory that is free, taking the longest rows."""
    config = network.config.get_text_config()
    longest = max(len(ids) for row in rows for ids in row.values())
    a_token = 4 * _FLOATS_A_TOKEN * config.hidden_size * config.num_hidden_layers
    free = _free_bytes(setting.device)
    return [b for b in BATCH_SIZES if 2 * b * longest * a_token < 0.9 * free] or [min(BATCH_SIZES)]


def _free_bytes(device: str) -> int:
    if device == "cuda":
        return torch.cuda.mem_get_info()[0]
    free: int = psutil.virtual_memory().available
    return free
