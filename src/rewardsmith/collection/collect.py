"""A collection from beginning to end: queries in, audited preferences out; interrupted, the same call goes on.

    result = collect("queries.txt", ["academy", "mine.yaml"], answerer, Path("runs/mine"), CollectOptions(plain=True))

Order: read and choose queries; ask what is owed; ask again where an answer is no good; let a judge compare; write all
outputs from what the journal holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from rewardsmith.collection.answerers.base import Answerer, Outcome
from rewardsmith.collection.asking import ask_owed, open_collection
from rewardsmith.collection.assembling import Sifted, by_rule, dsp_rows, sift
from rewardsmith.collection.choosing import Choice, choose_queries, load_unwanted
from rewardsmith.collection.domains import DomainProfile, load_domains, plain_profile
from rewardsmith.collection.filters import n_words
from rewardsmith.collection.journal import Counts, Journal
from rewardsmith.collection.judging import Comparison, Verdicts, by_verdict, comparisons, read_verdicts
from rewardsmith.collection.keyness import keywords
from rewardsmith.collection.outputs import write_outputs
from rewardsmith.collection.plan import Plan, Slot, refuse_changes
from rewardsmith.collection.queries import Query, load_queries
from rewardsmith.collection.result import CollectionResult, DomainFigures, JudgeFigures, RequestFigures
from rewardsmith.errors import UserError
from rewardsmith.evaluation.statistics import cluster_bootstrap
from rewardsmith.preferences.audit import audit_preferences
from rewardsmith.preferences.record import Preference

CHANGES_ANSWERS = {"domains", "plain", "samples", "seed", "words"}
"""Options that answers depend on: they are in the fingerprint, through the requests that they make."""
CHANGES_WHAT_IS_ASKED = {"near", "filter_file", "choose", "pilot", "askings", "judge"}
"""Options that ask more or fewer requests and change none: a collection may go on under other values."""
CHANGES_OUTPUTS = {"filtered"}
"""Options that only choose among the answers that are there."""
_COURSE_POINTS = 300


class CollectOptions(BaseModel):
    """What is collected. How to ask (`Manners`) changes nothing of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    domains: list[str] = Field(min_length=1, description="Shipped names or files.")
    plain: bool = False
    samples: int = Field(default=1, ge=1)
    seed: int = Field(default=0, ge=0)
    words: tuple[int, int] | None = Field(default=None, description="One length range for all, plain answers too.")
    near: bool = Field(default=False, description="Keep queries that are nearly the same as another.")
    filter_file: Path | None = None
    choose: int | None = Field(default=None, ge=1, description="Ask only so many, the most diverse.")
    pilot: int | None = Field(default=None, ge=1, description="Ask only so many of the chosen for now.")
    askings: int = Field(default=1, ge=1, description="How often to ask at most where a filter leaves an answer out.")
    judge: bool = False
    filtered: bool = True


@dataclass(frozen=True)
class Prepared:
    """A collection before anything is asked."""

    plan: Plan
    choice: Choice
    notes: list[str]

    def remarks(self) -> list[str]:
        """What was read, and what was left out, for the user."""
        left_out = ", ".join(f"{count} {reason}" for reason, count in self.choice.left_out.items())
        return self.notes + ([f"queries left out: {left_out}"] if left_out else [])


def prepare(source: str, options: CollectOptions, model: str) -> Prepared:
    """Reads queries and profiles and makes the plan.

    Raises:
        DataError: what is wrong with the queries, a profile or the filter file.
    """
    profiles = load_domains(options.domains, options.words)
    profiles += [plain_profile(options.words)] if options.plain else []
    if len(profiles) < 2:
        raise UserError(
            "one domain alone ranks nothing: name another with --domains, or add plain answers with --plain"
        )
    found = load_queries(source)
    choice = choose_queries(
        found.queries, unwanted=load_unwanted(options.filter_file), near=options.near, most=options.choose
    )
    left_out = ({"the same as another": found.repeated} if found.repeated else {}) | choice.left_out
    asked = choice.queries[: options.pilot]
    return Prepared(
        Plan(asked, profiles, options.samples, model, options.seed),
        Choice(choice.queries, left_out),
        found.notes,
    )


def parse_words(text: str | None) -> tuple[int, int] | None:
    """`60-120` as a range. Raises UserError for anything else."""
    if text is None:
        return None
    low, dash, high = text.partition("-")
    if not dash or not low.strip().isdigit() or not high.strip().isdigit() or not 0 < int(low) <= int(high):
        raise UserError(f"--words {text}: write the shortest and the longest length in words, as 60-120")
    return int(low), int(high)


def collect(
    prepared: Prepared,
    options: CollectOptions,
    answerer: Answerer,
    folder: Path,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[CollectionResult, Outcome]:
    """Asks what is owed and writes all outputs. `tell` is called with how many answers are there and are planned.

    Raises:
        OutputExistsError: the folder holds something else, or a collection that was asked otherwise.
        RewardsmithError: the journal cannot be used.
    """
    plan = prepared.plan
    journal = open_collection(folder)
    try:
        refuse_changes(
            journal.settings(),
            plan.settings(),
            dict(journal.contents()),
            [plan.planned(slot) for slot in plan.slots()],
            str(folder),
        )
        journal.set_settings(plan.settings())
        journal.recover()
        outcome = _ask_all(plan, options, answerer, journal, tell)
        result, records, raw = _assemble(prepared, options, journal)
        write_outputs(folder, records, raw, plan.profiles, result)
    finally:
        journal.close()
    return result, outcome


def _ask_all(
    plan: Plan, options: CollectOptions, answerer: Answerer, journal: Journal, tell: Callable[[int, int], None]
) -> Outcome:
    """Rounds of asking: all slots; where answers are no good, once more; then the judge."""
    outcome = ask_owed(plan.to_ask(plan.slots()), answerer, journal, tell)
    for _ in range(options.askings - 1):
        again = [slot for one in _sifted(plan, options, journal) for slot in one.again]
        if not again or not outcome.whole:
            break
        outcome = ask_owed(plan.to_ask(again), answerer, journal, tell)
    if options.judge and outcome.whole:
        compared = (c for one in _sifted(plan, options, journal) for c in comparisons(one))
        outcome = ask_owed(((c.planned(), c.request(plan.seed)) for c in compared), answerer, journal, tell)
    return outcome


def _sifted(plan: Plan, options: CollectOptions, journal: Journal) -> Iterator[Sifted]:
    """Every query's answers, query by query."""
    for query in plan.queries:
        slots = plan.slots_of(query)
        keys = [s.key for s in _askings(slots, options.askings)]
        yield sift(query, slots, dict(journal.answers(keys)), filtered=options.filtered, askings=options.askings)


def _askings(slots: Sequence[Slot], most: int) -> Iterator[Slot]:
    for slot in slots:
        for asking in range(1, most + 1):
            yield Slot(slot.query, slot.profile, slot.sample, asking)


def _assemble(
    prepared: Prepared, options: CollectOptions, journal: Journal
) -> tuple[CollectionResult, list[Preference], list[dict[str, object]]]:
    plan = prepared.plan
    sifted = list(_sifted(plan, options, journal))
    judged: list[tuple[Query, Verdicts]] = []
    records: list[Preference] = []
    for one in sifted:
        if options.judge:
            asked: list[Comparison] = comparisons(one)
            verdicts = read_verdicts(asked, dict(journal.answers([c.key for c in asked])))
            judged.append((one.query, verdicts))
            records += by_verdict(one, verdicts)
        else:
            records += by_rule(one)
    result = CollectionResult(
        model=plan.model,
        seed=plan.seed,
        samples=plan.samples,
        queries=len(plan.queries),
        left_out=prepared.choice.left_out,
        records=len(records),
        pairs=sum(len(record.pairs()) for record in records),
        domains=_domain_figures(plan.profiles, sifted),
        requests=request_figures(journal),
        judge=_judge_figures(plan.model, judged) if options.judge else None,
        audit=audit_preferences(records) if records else None,
        course=_course(journal),
        notes=prepared.notes,
        versions={name: version(name) for name in ("rewardsmith",)},
    )
    return result, records, dsp_rows(sifted)


def _domain_figures(profiles: Sequence[DomainProfile], sifted: Sequence[Sifted]) -> dict[str, DomainFigures]:
    texts = {
        profile.name: [g.answer.text for one in sifted for g in one.given if g.slot.profile.name == profile.name]
        for profile in profiles
    }
    telling = keywords(texts)
    faults: dict[str, Counter[str]] = {profile.name: Counter() for profile in profiles}
    for one in sifted:
        for name, found in one.faults.items():
            faults[name].update(found)
    return {
        profile.name: DomainFigures(
            title=profile.title,
            usable=len(texts[profile.name]),
            faults=dict(faults[profile.name]),
            words=[n_words(text) for text in texts[profile.name]],
            wanted=profile.words,
            keywords=telling[profile.name],
        )
        for profile in profiles
    }


def request_figures(journal: Journal) -> RequestFigures:
    """What the journal counts."""
    counts: Counts = journal.counts()
    spent = journal.spent()
    return RequestFigures(
        answered=counts.answered,
        owed=counts.owed + counts.in_flight,
        attempts=spent.attempts,
        failures=spent.failures,
        unknown_fate=counts.unknown_fate,
        prompt_tokens=spent.prompt_tokens,
        completion_tokens=spent.completion_tokens,
        cost=spent.cost,
    )


def _judge_figures(model: str, judged: Sequence[tuple[Query, Verdicts]]) -> JudgeFigures:
    total: Counter[str] = sum((verdicts.counts for _, verdicts in judged), Counter())
    decided = [(k, v.counts["agrees"], v.counts["contradicts"]) for k, (_, v) in enumerate(judged)]
    clusters = np.array([k for k, yes, no in decided for _ in range(yes + no)], dtype=np.int64)
    values = np.array([x for _, yes, no in decided for x in [1.0] * yes + [0.0] * no])
    return JudgeFigures(
        model=model,
        agrees=total["agrees"],
        contradicts=total["contradicts"],
        ties=total["tie"],
        order_dependent=total["order-dependent"],
        unreadable=total["unreadable"],
        agreement=float(values.mean()) if len(values) else None,
        agreement_ci95=cluster_bootstrap(values, clusters, np.ones(len(values))) if len(values) else None,
    )


def _course(journal: Journal) -> list[tuple[float, float, int]]:
    """Sums over time, at no more points than a plot can show."""
    course = journal.course()
    if not course:
        return []
    cost = np.cumsum([c for _, c, _ in course])
    tokens = np.cumsum([t for _, _, t in course])
    points = [(course[k][0] - course[0][0], float(cost[k]), int(tokens[k])) for k in range(len(course))]
    step = max(1, len(points) // _COURSE_POINTS)
    return [*islice(points, 0, len(points) - 1, step), points[-1]]
