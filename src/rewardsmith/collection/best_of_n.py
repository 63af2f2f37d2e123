"""Best-of-n from beginning to end: a policy answers every query N times, proxies choose, gold models judge the choice.

Interrupted, the same call goes on: responses are in the journal of the folder, rewards in its `rewards.jsonl`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console

from rewardsmith.collection.answerers.base import Answerer
from rewardsmith.collection.asking import ask_owed, open_collection, refuse_unfinished
from rewardsmith.collection.domains import DomainProfile, plain_profile
from rewardsmith.collection.journal import Journal
from rewardsmith.collection.plan import Plan, refuse_changes
from rewardsmith.collection.queries import Query
from rewardsmith.collection.requests import Sampling
from rewardsmith.errors import ModelError, OutputExistsError
from rewardsmith.evaluation.benchmarks.journal import score_with_journal
from rewardsmith.evaluation.optimisation import LONGER, BestOfNResult, curves_of
from rewardsmith.evaluation.pairs import FloatArray
from rewardsmith.files import write_whole
from rewardsmith.modeling.scoring import ModelScorer, progress
from rewardsmith.preferences.record import PLAIN, Preference, response_text
from rewardsmith.reporting.best_of_n import plot_best_of_n

_OPTIONS = {"model": "--policy", "seed": "--seed", f"domain {PLAIN}": "--temperature or --max-tokens"}
"""The fingerprint's parts by the option that a user changes them with."""
_RESPONSES_AT_ONCE = 128
"""Responses that are scored together, and lost together when the run is interrupted."""


class SampleOptions(BaseModel):
    """How the policy is sampled. Another `n` only adds responses or leaves some out; the rest changes them all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    n: int = Field(default=32, ge=2, description="Responses to each query, and the largest n.")
    temperature: float = Field(default=1.0, gt=0, le=2, description="At 1 responses are the policy's own distribution.")
    max_tokens: int = Field(default=120, ge=1, description="A longer response is cut off, and counted as cut.")
    seed: int = Field(default=0, ge=0)

    @property
    def profile(self) -> DomainProfile:
        """Asking without a system prompt."""
        sampling = Sampling(temperature=self.temperature, top_p=1.0, max_tokens=self.max_tokens)
        return plain_profile().model_copy(update={"sampling": sampling})


@dataclass(frozen=True)
class Samples:
    """A policy's responses: one record for each query, with N responses and no scores."""

    records: list[Preference]
    cut: float
    """Share of the responses that ended at `max_tokens`."""


def best_of_n(
    queries: Sequence[Query],
    answerer: Answerer,
    proxies: Mapping[str, str],
    golds: Mapping[str, str],
    folder: Path,
    options: SampleOptions,
    console: Console | None = None,
) -> BestOfNResult:
    """Samples, scores, and writes `result.json` and `best_of_n.png` into the folder.

    Args:
        proxies, golds: reward models by name, folders or hub names. All are loaded before anything is asked, and are
            held at once.
        console: for progress.

    Raises:
        ModelError: one is no reward model, or gives a reward that is not finite.
        OutputExistsError: the folder holds something else, or responses that were sampled otherwise.
        RewardsmithError: not every response could be had.
    """
    started = time.monotonic()
    scorers = {source: ModelScorer(source, None, None) for source in {**proxies, **golds}.values()}
    samples = sample_responses(queries, answerer, folder, options, console)
    rewards = {source: _rewards(scorer, samples.records, folder, console) for source, scorer in scorers.items()}
    choosing = {name: rewards[source] for name, source in proxies.items()} | {LONGER: lengths(samples.records)}
    result = BestOfNResult(
        policy=answerer.model,
        temperature=options.temperature,
        max_tokens=options.max_tokens,
        seed=options.seed,
        n_prompts=len(samples.records),
        n_samples=options.n,
        cut=samples.cut,
        proxies=dict(proxies),
        golds=dict(golds),
        curves=curves_of(choosing, {name: rewards[s] for name, s in golds.items()}, seed=options.seed),
        notes=_notes(scorers, samples.records),
        command=sys.argv,
        versions={name: version(name) for name in ("rewardsmith", "torch", "transformers")},
        seconds=time.monotonic() - started,
    )
    plot_best_of_n(result.curves, folder / "best_of_n.png")
    write_whole(folder / "result.json", result.model_dump_json(indent=2) + "\n")
    return result


def sample_responses(
    queries: Sequence[Query],
    answerer: Answerer,
    folder: Path,
    options: SampleOptions,
    console: Console | None = None,
) -> Samples:
    """N responses to each query, each asked once, however often this is called for the folder.

    Raises:
        OutputExistsError: the folder holds something else, or responses that were sampled otherwise.
        RewardsmithError: not every response could be had.
    """
    plan = Plan(queries, [options.profile], options.n, answerer.model, options.seed)
    journal = open_collection(folder)
    try:
        _refuse_others(journal, plan, folder)
        journal.set_settings(plan.settings())
        journal.recover()
        keys = [slot.key for slot in plan.slots()]
        with progress(console, "responses", len(keys)) as advance:
            told = 0

            def tell(done: int, _: int) -> None:
                nonlocal told
                advance(done - told)
                told = done

            outcome = ask_owed(plan.to_ask(plan.slots()), answerer, journal, tell)
        refuse_unfinished(outcome, len(journal.owed(keys)), folder)
        answers = dict(journal.answers(keys))
    finally:
        journal.close()
    records = [
        Preference(
            id=query.id,
            prompt=list(query.prompt),
            responses=[answers[slot.key].text for slot in plan.slots_of(query)],
            scores=[0.0] * options.n,
        )
        for query in queries
    ]
    return Samples(records, float(np.mean([answers[key].finish_reason == "length" for key in keys])))


def lengths(records: Sequence[Preference]) -> FloatArray:
    """[p, N] lengths of the responses in characters."""
    return np.array([[len(response_text(r)) for r in record.responses] for record in records], dtype=np.float64)


def _refuse_others(journal: Journal, plan: Plan, folder: Path) -> None:
    before, now = journal.settings(), plan.settings()
    if before and set(before) != set(now):
        raise OutputExistsError(f"{folder} holds another collection; name another folder with --out")
    before, now = ({_OPTIONS[name]: value for name, value in part.items()} for part in (before, now))
    refuse_changes(before, now, dict(journal.contents()), [plan.planned(slot) for slot in plan.slots()], str(folder))


def _rewards(scorer: ModelScorer, records: Sequence[Preference], folder: Path, console: Console | None) -> FloatArray:
    """[p, N] rewards of all responses, kept as they are made."""
    n = len(records[0].responses)
    with progress(console, scorer.name, n * len(records)) as advance:
        scored, _ = score_with_journal(
            scorer, records, folder / "rewards.jsonl", scorer.key(), advance, chunk=max(1, _RESPONSES_AT_ONCE // n)
        )
    for one in scored:
        if one.rewards is None:
            raise ModelError(f"{scorer.name} gives no usable rewards for query {one.preference.id} ({one.error})")
    return np.array([one.rewards for one in scored])


def _notes(scorers: Mapping[str, ModelScorer], records: Sequence[Preference]) -> list[str]:
    notes = []
    for name, scorer in scorers.items():
        seen = sum(scorer.seen(records))
        if seen:
            notes.append(f"{name} was trained on the prompts of {seen} of the {len(records)} queries")
        notes += scorer.notes
    return notes
