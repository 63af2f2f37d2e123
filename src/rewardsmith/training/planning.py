"""The dry run: what a recipe would do, said before anything is trained.

Everything is validated, the data are read and their tokens counted; steps follow exactly, memory and time are
estimates from the backbone's size and this machine's measured rate of matrix multiplication.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from rewardsmith.batching.items import ItemCounts, build_items
from rewardsmith.batching.tokenizing import ConversationTokenizer
from rewardsmith.errors import ModelError
from rewardsmith.modeling.backbone import embedding_of, is_decoder, load_config, resolve
from rewardsmith.modeling.building import build_reward_model
from rewardsmith.modeling.cpu_linear import cpu_linear
from rewardsmith.modeling.spec import BackboneSpec
from rewardsmith.preferences.record import response_text
from rewardsmith.training.data import RecipeData, load_data
from rewardsmith.training.jobs import Job, plan_jobs, require_ranking, steps_of
from rewardsmith.training.monitoring import validation_of
from rewardsmith.training.recipe import Recipe
from rewardsmith.training.recipe_file import check_paths
from rewardsmith.training.starting import check_starts

_EFFICIENCY = {torch.float32: 0.5, torch.bfloat16: 0.25}
"""Share of the matmul rate that a training step reached when this was measured (SmolLM2-135M, one and two cores)."""
_OPTIMISER_BYTES = 16
"""Bytes for each trained float32 weight: weight, gradient, two moments of AdamW."""
_CHARACTERS_PER_TOKEN = 4.3
"""English text under common vocabularies; used only where the tokenizer cannot be loaded."""


@dataclass(frozen=True)
class BackboneSize:
    """Weights in the layers (`matmul`, what costs time) and in all; `known` is False when guessed from the name.

    `trees` says whether prompts are shared: in decoders they are.
    """

    matmul: int
    total: int
    layers: int
    width: int
    known: bool
    trees: bool = True


@dataclass(frozen=True)
class JobPlan:
    """One training: its size and what it is expected to cost."""

    label: str
    models: list[str]
    counts: ItemCounts
    enrichment: int
    steps: int
    seconds: float


@dataclass(frozen=True)
class RunPlan:
    """The whole run."""

    recipe: Recipe
    notes: list[str]
    size: BackboneSize
    memory_gb: float
    rates: Mapping[torch.dtype, float]
    """Of matrix multiplication, in the precisions that the stages ask for."""
    jobs: list[JobPlan]

    def to_text(self) -> str:
        """The plan for a terminal."""
        how = "" if self.size.known else ", guessed from its name, for it is not at hand: tokens are characters / 4.3"
        lines = [
            f"recipe {self.recipe.name}: holds together. {self.recipe.description}".rstrip(),
            *self.notes,
            "",
            f"backbone {self.recipe.backbone.model}: {self.size.total / 1e6:,.0f} M weights, "
            f"{self.size.layers} layers of width {self.size.width}{how}",
            f"memory about {self.memory_gb:.1f} GB for weights, gradients, optimiser and one pass",
            *(
                f"this machine multiplies {str(dtype).removeprefix('torch.')} matrices at {rate / 1e9:,.0f} GFLOP/s"
                for dtype, rate in self.rates.items()
            ),
        ]
        lines.append("")
        for job in self.jobs:
            c = job.counts
            lines.append(
                f"{job.label}: {c.ranking} preferences in {c.items} texts + {job.enrichment} of enrichment, "
                f"{c.tree_tokens:,} tokens an epoch ({c.tokens:,} without sharing prompts), {job.steps} steps, "
                f"{_duration(job.seconds)} -> {', '.join(job.models)}"
            )
            for count, what in (
                (c.ranking_nothing, "rank nothing and are left out"),
                (c.prompts_cut, "have prompts cut on the left"),
                (c.responses_cut, "have responses cut at their end"),
            ):
                if count:
                    lines.append(f"  {count} preferences {what}")
        total = sum(job.seconds for job in self.jobs)
        lines += ["", f"training takes {_duration(total)} on this machine; evaluations come on top"]
        return "\n".join(lines)


def plan_run(recipe: Recipe) -> RunPlan:
    """Plans `recipe` on this machine. Raises what `run_recipe` would raise before it trains."""
    check_paths(recipe, recipe.name)
    data = load_data(recipe)
    jobs = plan_jobs(recipe, data)
    size, text = _backbone(recipe, jobs)
    rates = {dtype: matmul_rate(dtype) for dtype in dict.fromkeys(_precision(job) for job in jobs)}
    plans = [_plan_job(job, recipe, data, text, size, rates) for job in jobs]
    memory = max(_memory(job, recipe.backbone, size) for job in jobs)
    return RunPlan(recipe, data.notes, size, memory, rates, plans)


def _backbone(recipe: Recipe, jobs: list[Job]) -> tuple[BackboneSize, ConversationTokenizer | None]:
    """Size and tokenizer from small files; a hub model that is not at hand is judged by a name such as `llama-7b`."""
    spec = recipe.backbone
    try:
        load_config(resolve(spec.model))
    except ModelError:
        guess = None if Path(spec.model).exists() else _size_from_name(spec)
        if guess is None:
            raise
        return guess, None
    shape = check_starts(recipe, jobs) or build_reward_model(spec, weights=False)
    network = shape.inner
    total = sum(p.numel() for p in network.parameters())
    config = network.config.get_text_config()
    layers, width = config.num_hidden_layers, config.hidden_size
    matmul = total - embedding_of(network).weight.numel()
    return BackboneSize(matmul, total, layers, width, True, is_decoder(network)), shape.text


def _precision(job: Job) -> torch.dtype:
    return torch.bfloat16 if job.stage.bf16 else torch.float32


def matmul_rate(dtype: torch.dtype) -> float:
    """Operations a second at which this machine multiplies matrices (2 n³ for one product), the best of a few."""
    n = 1024
    a, b = torch.randn(n, n).to(dtype), torch.randn(n, n).to(dtype)
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        cpu_linear(a, b)
        best = min(best, time.perf_counter() - start)
    return 2 * n**3 / best


def _plan_job(
    job: Job,
    recipe: Recipe,
    data: RecipeData,
    text: ConversationTokenizer | None,
    size: BackboneSize,
    rates: Mapping[torch.dtype, float],
) -> JobPlan:
    preferences = data.training(job.stage, job.own_domains, recipe.seed)
    if text is not None:
        _, counts = build_items(preferences, text, job.domains)
    else:
        prompts = [sum(len(m.content) for m in p.prompt) for p in preferences]
        responses = [sum(len(response_text(r)) for r in p.responses) for p in preferences]
        repeated = sum(n * (len(p.responses) - 1) for n, p in zip(prompts, preferences, strict=True))
        once = (sum(prompts) + sum(responses)) / _CHARACTERS_PER_TOKEN
        ranking = sum(bool(p.pairs()) for p in preferences)
        counts = ItemCounts(
            preferences=len(preferences),
            items=ranking,
            ranking=ranking,
            ranking_nothing=len(preferences) - ranking,
            tokens=round(once + repeated / _CHARACTERS_PER_TOKEN),
            tree_tokens=round(once),
            prompts_cut=0,
            responses_cut=0,
        )
    require_ranking(job, counts)
    validation_of(job, recipe, data)
    enrichment = data.drawn(job.stage.enrichment, counts.items) if job.stage.enrichment else 0
    items = counts.items + enrichment
    steps = steps_of(job.stage, items)
    # The last step of an epoch takes what is left.
    epochs, beyond = divmod(steps, -(-items // job.stage.batch_size))
    share = epochs + beyond * job.stage.batch_size / items
    tokens_once = (counts.tree_tokens if size.trees else counts.tokens) * (1 + enrichment / max(1, counts.items))
    frozen = job.stage.freeze_layers / size.layers
    # Forward once, backward twice; what is frozen runs forward, and with trees only the first time.
    passes = 3 * share * (1 - frozen) + frozen * (1 if size.trees else share)
    precision = _precision(job)
    seconds = tokens_once * 2 * size.matmul * passes / (rates[precision] * _EFFICIENCY[precision])
    return JobPlan(job.label, list(job.models.values()), counts, enrichment, steps, seconds)


def _memory(job: Job, spec: BackboneSpec, size: BackboneSize) -> float:
    """Gigabytes: optimiser state of what trains, weights of what does not, activations of one micro-batch."""
    trained = 0.02 * size.matmul if spec.lora else size.total * (1 - 0.9 * job.stage.freeze_layers / size.layers)
    states = trained * _OPTIMISER_BYTES + (size.total - trained) * (2 if spec.precision == "bfloat16" else 4)
    # About 34 values of the model's width are kept for each token and layer (Korthikanti et al. 2022, table 2).
    kept = 2 if job.stage.gradient_checkpointing else 34
    tokens = job.stage.micro_batch_size * spec.max_length
    return (states + 4.0 * kept * size.width * size.layers * tokens) / 1e9


def _size_from_name(spec: BackboneSpec) -> BackboneSize | None:
    import re

    found = re.search(r"(\d+(?:\.\d+)?)\s*([bm])\b", spec.model.lower().replace("-", " ").replace("_", " "))
    if found is None:
        return None
    total = int(float(found[1]) * (1e9 if found[2] == "b" else 1e6))
    # Width and depth of a Llama of this size: 12 width² weights a layer, width / layers = 128.
    layers = max(1, round((total / 12 / 128**2) ** (1 / 3)))
    kept = spec.depth or layers
    return BackboneSize(total * kept // layers, total * kept // layers, kept, 128 * layers, known=False)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"
