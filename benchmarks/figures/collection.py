"""Answers of a local model: ours against transformers' `generate`, one call after another and in padded batches.

All sides take the same weights, precision, messages and sampling; each draws for itself, so lengths differ a little and
seconds are those of a thousand answer tokens. Tokenising and decoding to text are included, loading is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from benchmarks import tiny
from benchmarks.measured import OURS, Measured, compared
from benchmarks.timing import Run, Side, alternate
from benchmarks.training import now
from benchmarks.workload import SEED, Setting, domain_queries
from rewardsmith.collection.generation.local import LocalModel
from rewardsmith.collection.requests import Request, Sampling
from rewardsmith.modeling.backbone import quiet
from rewardsmith.modeling.embedded import EMBEDDED
from rewardsmith.preferences.record import Message

_BATCH = 32
_TOKENS = 120
_SYSTEM = (
    "You are {domain}. Answer the question as such a person would: with what you know of your field, in its own words "
    "and its own tone, and with what matters to the people you write for. Say what you are sure of and what you are "
    "not, give one example, and leave out what the question does not ask for. Write one paragraph of at most six "
    "sentences, without headings or lists."
)
_VOICES = ("a scholar at a university", "a manager in a company", "an entertainer on a stage", "a writer of novels")


def collection(setting: Setting) -> Measured:
    """Queries of the DSP data, each asked of four domains; the slower peers do an even share of them."""
    requests = _requests(setting)
    few, some = requests[:: len(requests) // setting.size(8, 2)], requests[:: len(requests) // setting.size(64, 4)]
    name = str(tiny.backbone(setting.scratch)) if setting.tiny else EMBEDDED
    local = LocalModel(name)
    with quiet():
        network: Any = AutoModelForCausalLM.from_pretrained(local.folder, dtype=getattr(torch, local.precision))
    network.to(setting.device)
    single, batched = "generate, one call after another", f"generate, batches of {_BATCH}"
    sides = [
        Side(OURS, lambda: _ours(local, requests)),
        Side(single, lambda: _theirs(network, local.tokenizer, few, 1)),
        Side(batched, lambda: _theirs(network, local.tokenizer, some, _BATCH)),
    ]
    rounds = alternate(sides, setting.repeats)
    speeds = ", ".join(
        f"{side} {min(1000 / r.seconds for r in runs):.0f} to {max(1000 / r.seconds for r in runs):.0f}"
        for side, runs in rounds.items()
    )
    return compared(
        rounds,
        single,
        work=f"{len(requests)} requests, {len(_VOICES)} system prompts, answers of at most "
        f"{requests[0].sampling.max_tokens} tokens ({len(few)} of them one by one, {len(some)} in batches)",
        notes=[
            f"seconds are of a thousand answer tokens; tokens a second: {speeds}",
            f"weights in {local.precision} on all sides",
        ],
    )


def _requests(setting: Setting) -> list[Request]:
    queries = [query[0] for query in domain_queries(setting, setting.size(48, 2))]
    sampling = Sampling(max_tokens=setting.size(_TOKENS, 12))
    return [
        Request(
            key=f"{query.id}-{domain}",
            messages=(Message(role="system", content=_SYSTEM.format(domain=voice)), query.prompt[-1]),
            sampling=sampling,
            seed=SEED + k,
        )
        for k, query in enumerate(queries)
        for domain, voice in enumerate(_VOICES)
    ]


def _ours(local: LocalModel, requests: Sequence[Request]) -> Run:
    start = now()
    tokens = sum(answer.completion_tokens for _, answer in local.answers(requests))
    return Run(1000 * (now() - start) / tokens)


def _theirs(
    network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, requests: Sequence[Request], batch: int
) -> Run:
    """Rows of like length together, padded on the left as `generate` wants it."""
    torch.manual_seed(SEED)
    start, tokens = now(), 0
    ordered = sorted(requests, key=lambda r: len(r.messages[-1].content))
    generate: Any = network.generate
    for k in range(0, len(ordered), batch):
        chunk = [[m.model_dump() for m in request.messages] for request in ordered[k : k + batch]]
        inputs: Any = tokenizer.apply_chat_template(
            chunk,
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
            padding=True,
            tokenizer_kwargs={"padding_side": "left"},
        )
        sampling = requests[0].sampling
        written = generate(
            **inputs.to(network.device),
            do_sample=True,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=0,
            max_new_tokens=sampling.max_tokens,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )[:, inputs["input_ids"].shape[1] :]
        tokenizer.batch_decode(written, skip_special_tokens=True)
        # An end token counts once: what comes after it is padding.
        ended = (written == tokenizer.eos_token_id).int().cumsum(dim=1)
        tokens += int((ended - (written == tokenizer.eos_token_id).int() == 0).sum())
    return Run(1000 * (now() - start) / tokens)
