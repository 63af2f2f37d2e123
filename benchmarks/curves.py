"""How cost grows with responses, prompt and domains: seconds of a pass over made-up tokens, ours and padded.

The backbone is cut to a few layers so that a point takes seconds; `padded` is TRL at its best (no checkpointing, up to
eight pairs a pass). A list prefers its first response to all others; domains take turns in whom they prefer.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedModel

from benchmarks.peers import BATCH_SIZES, best_options, pair_rows, peer_network, trl_side
from benchmarks.timing import Run, Side, alternate, say
from benchmarks.training import our_side
from benchmarks.workload import SEED, Setting, reward_model
from rewardsmith.batching.items import Item, Judgement
from rewardsmith.batching.layout import DEFAULT_TOKEN_BUDGET
from rewardsmith.batching.tokenizing import TokenizedResponse
from rewardsmith.modeling.reward_model import RewardModel

PADDED = "padded"
DEPTH = 4
_PROMPT, _RESPONSE = 256, 128
_SHORT = 64
"""Tokens of prompt and response where domains are counted."""


@dataclass(frozen=True)
class Point:
    """Median seconds of both sides at one place of one axis."""

    axis: str
    at: int
    seconds: dict[str, float]


def measure_curves(setting: Setting) -> list[Point]:
    """All points: responses to one prompt, prompt tokens before two responses, domains over one short pair."""
    rs, prompts, domains = (
        ([2, 4], [16, 32], [1, 2]) if setting.tiny else ([2, 4, 8, 16], [64, 256, 1024, 4096], [1, 4, 16, 64])
    )
    model = reward_model(setting, [str(k) for k in range(max(domains))], depth=DEPTH)
    network = peer_network(setting, model)
    places = [("responses", r, _item(model, _PROMPT, _RESPONSE, r, 1)) for r in rs]
    places += [("prompt tokens", n, _item(model, n, _RESPONSE, 2, 1)) for n in prompts]
    places += [("domains", d, _item(model, _SHORT, _SHORT, 2, d)) for d in domains]
    return [_point(setting, model, network, *place) for place in places]


def _point(setting: Setting, model: RewardModel, network: PreTrainedModel, axis: str, at: int, item: Item) -> Point:
    say(f"{axis} {at}")
    rows = [pair_rows([item], output=j.output) for j in item.judgements]
    # One optimiser step for all sides, and one row for ours, however long the prompt.
    options = {**best_options(max(BATCH_SIZES), step=len(rows[0])), "max_length": None}
    budget = max(DEFAULT_TOKEN_BUDGET, item.tokens)

    def padded() -> Run:
        runs = [trl_side(setting, PADDED, network, model, own, options).run() for own in rows]
        return Run(sum(run.seconds for run in runs))

    sides = [our_side(setting, model, [item], token_budget=budget), Side(PADDED, padded)]
    rounds = alternate(sides, setting.repeats)
    return Point(axis, at, {name: statistics.median(r.seconds for r in runs) for name, runs in rounds.items()})


def _item(model: RewardModel, prompt: int, response: int, r: int, domains: int) -> Item:
    """One prompt with r responses of equal length; domain k prefers response k (modulo r) to the others."""
    draw = random.Random(SEED)
    vocabulary = [k for k in range(model.config.vocab_size) if k != model.tokenizer.pad_token_id]
    shared = _tokens(draw, vocabulary, prompt)
    responses = [TokenizedResponse(shared + _tokens(draw, vocabulary, response), prompt) for _ in range(r)]
    judgements = [Judgement(tuple(float(j == k % r) for j in range(r)), k, 0.0, str(k)) for k in range(domains)]
    return Item(tuple(responses), tuple(judgements))


def _tokens(draw: random.Random, vocabulary: Sequence[int], count: int) -> tuple[int, ...]:
    return tuple(draw.choices(vocabulary, k=count))
