"""Rewards of five responses a prompt: ours against transformers' text-classification pipeline, text in, numbers out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import pipeline

from benchmarks.measured import OURS, Measured, compared
from benchmarks.timing import Run, Side, alternate, fastest
from benchmarks.training import now, without_onednn
from benchmarks.workload import LENGTH, Setting, domain_queries, one_domain_each, reward_model
from rewardsmith.modeling.backbone import quiet
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.preferences.record import Preference, response_messages

_SIZES = (1, 2, 4, 8, 16)
_TRIED = 4
"""Prompts on which the pipeline's batch sizes are compared."""


def scoring(setting: Setting) -> Measured:
    """Prompts whose dialogues fit, in their order; the pipeline at the batch size that was fastest."""
    model = reward_model(setting, precision=setting.precision)
    preferences = _uncut(model, one_domain_each(domain_queries(setting)), setting.size(12, 2))
    with quiet():
        classify: Any = pipeline(
            "text-classification",
            model=str(model.save_pretrained(setting.scratch / "scored", overwrite=True)),
            device=setting.device,
            dtype=getattr(torch, setting.precision),
            function_to_apply="none",
        )
    sizes = _SIZES[: setting.size(len(_SIZES), 2)]
    some = preferences[:_TRIED]
    best = fastest({b: Side(f"pipeline, batches of {b}", lambda b=b: _timed(_peer, classify, some, b)) for b in sizes})  # type: ignore[misc]
    peer = f"pipeline, batches of {best}"
    ours = Side(OURS, lambda: _timed(_ours, model, preferences))
    theirs = Side(peer, lambda: _timed(_peer, classify, preferences, best))
    rounds = alternate([ours, theirs, *without_onednn(ours)], setting.repeats)
    sequences = model.text.batch([(p.prompt, r) for p in preferences for r in p.responses])
    whole, once = sum(map(len, sequences)), sum(rows.tokens for rows in model.layout().rows(sequences))
    found, expected = torch.tensor(_ours(model, some)), torch.tensor(_peer(classify, some, best))
    return compared(
        rounds,
        peer,
        work=f"{len(preferences)} DSP prompts with five responses each, tokenising included",
        notes=[
            f"largest difference of a reward between the two: {(found - expected).abs().max():.1e}",
            f"{whole:,} tokens without padding, {once:,} where what is shared stands once ({whole / once:.2f} times "
            "fewer): the rest of the ratio is the rate at which they are read",
        ],
    )


def _ours(model: RewardModel, preferences: Sequence[Preference]) -> list[float]:
    return [reward for rewards in model.score_preferences(preferences) for reward in rewards]


def _peer(classify: Any, preferences: Sequence[Preference], batch: int) -> list[float]:
    texts = [
        classify.tokenizer.apply_chat_template(
            [m.model_dump() for m in (*p.prompt, *response_messages(response))], tokenize=False
        )
        for p in preferences
        for response in p.responses
    ]
    found = classify(texts, batch_size=batch, truncation=True, max_length=LENGTH)
    return [row["score"] for row in found]


def _timed(score: Any, *arguments: Any) -> Run:
    start = now()
    score(*arguments)
    return Run(now() - start)


def _uncut(model: RewardModel, preferences: Sequence[Preference], count: int) -> list[Preference]:
    """The first whose dialogues are short enough that nobody cuts them."""
    found: list[Preference] = []
    for p in preferences:
        if not any(r.prompt_cut or r.response_cut for r in model.text.preference(p)):
            found.append(p)
        if len(found) == count:
            break
    return found
