"""What is measured on: the preferences, the model, and where it all runs. Every sample is drawn by a fixed seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers.trainer_pt_utils import get_length_grouped_indices

from benchmarks import tiny
from rewardsmith.batching.items import Item, build_items
from rewardsmith.modeling.building import build_reward_model
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.modeling.spec import BackboneSpec, Precision
from rewardsmith.preferences.mixing import take_preferences
from rewardsmith.preferences.reading import load_preferences
from rewardsmith.preferences.record import Preference
from rewardsmith.preferences.splitting import hash_share

LENGTH = 512
"""Tokens of prompt and response: what is longer is cut alike for all sides."""
STEP = 8
"""Pairs in one optimiser step: the batch size that TRL comes with."""
DOMAINS = ["academy", "business", "entertainment", "literature"]
SEED = 0
_MEGA_BATCH = 50
"""Steps that `group_by_length` sorts together in any set that is large enough."""


@dataclass(frozen=True)
class Setting:
    """Where and how often: `data` holds the preference files, `scratch` is a folder that goes away at the end."""

    data: Path
    scratch: Path
    repeats: int = 3
    threads: int = 1
    device: str = "cpu"
    tiny: bool = False
    """A tiny random network on made-up preferences: to try the code, not to measure."""
    autocast: bool = False
    """Train under bfloat16 autocast on a CPU too."""

    @property
    def bf16(self) -> bool:
        """Whether all sides train under bfloat16 autocast: always on a GPU."""
        return self.autocast or self.device == "cuda"

    @property
    def precision(self) -> Precision:
        """Of the weights, where nothing is trained."""
        return "bfloat16" if self.device == "cuda" else "float32"

    def size(self, real: int, small: int) -> int:
        """A number of something, real or for a try."""
        return small if self.tiny else real


def reward_model(
    setting: Setting,
    domains: list[str] | None = None,
    *,
    depth: int | None = None,
    precision: Precision = "float32",
    loud: bool = True,
) -> RewardModel:
    """A model on the embedded backbone (or the tiny one) with an output for each domain.

    `loud` draws a head whose rewards differ: the losses then tell whether two sides computed the same.
    """
    if setting.tiny:
        spec = BackboneSpec(model=str(tiny.backbone(setting.scratch)), max_length=LENGTH, precision=precision)
    else:
        spec = BackboneSpec(max_length=LENGTH, depth=depth, precision=precision)
    torch.manual_seed(SEED)
    model = build_reward_model(spec, domains)
    if loud:
        draw_head(model, SEED)
    return model.to(setting.device)


def draw_head(model: RewardModel, seed: int) -> None:
    """A new head of normal weights."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.head.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * weight.shape[-1] ** -0.5)


def general_pairs(setting: Setting) -> list[Preference]:
    """Helpful and harmless dialogues, two responses each."""
    if setting.tiny:
        return tiny.pairs()
    return [p for name in ("helpful", "harmless") for p in load_preferences(setting.data / f"{name}.json").preferences]


def random_pairs(setting: Setting, model: RewardModel, count: int) -> list[Item]:
    """So many pairs, drawn at random."""
    chosen = take_preferences(general_pairs(setting), count, seed=SEED)
    return build_items(chosen, model.text, model.info.domains)[0]


def grouped_pairs(setting: Setting, model: RewardModel, steps: int) -> list[Item]:
    """The pairs of so many steps of `STEP`, in the order that transformers' `group_by_length` brings them.

    It sorts 50 steps' worth of a large set by length; of those, steps are taken evenly from the short to the long.
    """
    pool = general_pairs(setting)
    chosen = take_preferences(pool, min(len(pool), _MEGA_BATCH * STEP), seed=SEED)
    items = build_items(chosen, model.text, model.info.domains)[0]
    lengths = [max(len(r) for r in item.responses) for item in items]
    generator = torch.Generator().manual_seed(SEED)
    order: list[int] = get_length_grouped_indices(  # type: ignore[no-untyped-call]
        lengths, STEP, mega_batch_mult=_MEGA_BATCH, generator=generator
    )
    batches = sorted(_chunks(order, STEP), key=lambda batch: max(lengths[k] for k in batch))
    picked = [batches[int((k + 0.5) / steps * len(batches))] for k in range(steps)]
    return [items[k] for batch in picked for k in batch]


def domain_queries(setting: Setting, count: int | None = None) -> list[list[Preference]]:
    """Queries answered five times, each as its preferences by domain; `count` of them, drawn at random."""
    if setting.tiny:
        preferences = tiny.lists(DOMAINS)
    else:
        preferences = load_preferences(setting.data / "domain_specific_preference.json").preferences
    queries: dict[str, list[Preference]] = {}
    for p in preferences:
        queries.setdefault(p.prompt_key(), []).append(p)
    order = sorted(queries, key=lambda key: hash_share(f"{SEED}\0{key}"))
    return [queries[key] for key in order[:count]]


def one_domain_each(queries: Sequence[Sequence[Preference]]) -> list[Preference]:
    """One preference of every query, its domains in turn."""
    return [query[k % len(query)] for k, query in enumerate(queries)]


def _chunks(order: Sequence[int], size: int) -> list[Sequence[int]]:
    return [order[k : k + size] for k in range(0, len(order) - size + 1, size)]
