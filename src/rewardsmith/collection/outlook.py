"""Before and while asking: how many calls, tokens, dollars and minutes; and where a collection stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rewardsmith.collection.answerers.base import Answerer
from rewardsmith.collection.collect import CollectOptions, Prepared, request_figures
from rewardsmith.collection.journal import FILE, Journal
from rewardsmith.collection.result import RequestFigures
from rewardsmith.reporting.format import count

WORDS_TO_TOKENS = 1.4
"""Tokens a word of English, about."""


@dataclass(frozen=True)
class Outlook:
    """What a collection would ask, and what that takes."""

    queries: int
    domains: int
    samples: int
    calls: int
    at_most: int
    judge_calls: int
    prompt_tokens: float
    answer_tokens: float
    measured: bool
    dollars: float | None
    seconds: float
    assumption: str

    def to_text(self) -> str:
        """For a terminal."""
        more = f", at most {count(self.at_most)} with those asked again" if self.at_most > self.calls else ""
        judge = f"; then up to {count(self.judge_calls)} comparisons by the judge" if self.judge_calls else ""
        basis = "as measured so far" if self.measured else "about; a pilot measures it"
        cost = (
            "no price is known: name a price file with --prices"
            if self.dollars is None
            else f"{self.dollars:.2f} dollars"
        )
        return "\n".join(
            [
                f"calls:  {count(self.calls)} owed ({count(self.queries)} queries x {self.domains} domains x "
                f"{self.samples} samples){more}{judge}",
                f"tokens: {count(round(self.prompt_tokens))} in prompts, {count(round(self.answer_tokens))} in answers "
                f"({basis})",
                f"price:  {cost}",
                f"time:   {duration(self.seconds)} ({self.assumption})",
            ]
        )


def look_ahead(prepared: Prepared, options: CollectOptions, answerer: Answerer, folder: Path) -> Outlook:
    """What is still owed, and what it takes: by the answers that are there, else by the lengths asked for."""
    plan = prepared.plan
    slots = list(plan.slots())
    owed, figures = slots, None
    if (folder / FILE).is_file():
        journal = Journal.look(folder)
        left = set(journal.owed([slot.key for slot in slots]))
        owed, figures = [slot for slot in slots if slot.key in left], request_figures(journal)
        journal.close()
    prompt = answerer.prompt_tokens([plan.request(slot) for slot in owed])
    if figures is not None and figures.answered:
        answer = len(owed) * figures.completion_tokens / figures.answered
    else:
        answer = sum(_expected_tokens(slot.profile.words, slot.profile.sampling.max_tokens) for slot in owed)
    seconds, assumption = answerer.seconds(prompt, answer)
    own = [p for p in plan.profiles if p.system]
    pairs = len(own) * (plan.samples**2 * (len(plan.profiles) - 1) + plan.samples * (plan.samples - 1) // 2)
    return Outlook(
        queries=len(plan.queries),
        domains=len(plan.profiles),
        samples=plan.samples,
        calls=len(owed),
        at_most=len(owed) * options.askings,
        judge_calls=2 * pairs * len(plan.queries) if options.judge else 0,
        prompt_tokens=prompt,
        answer_tokens=answer,
        measured=figures is not None and figures.answered > 0,
        dollars=answerer.price(prompt, answer),
        seconds=seconds,
        assumption=assumption,
    )


def _expected_tokens(words: tuple[int, int] | None, most: int) -> float:
    return min(most, WORDS_TO_TOKENS * sum(words) / 2) if words else most / 2


def status(folder: Path) -> RequestFigures:
    """Where the collection in a folder stands, whoever works in it. Raises RewardsmithError where there is none."""
    journal = Journal.look(folder)
    try:
        return request_figures(journal)
    finally:
        journal.close()


def status_lines(figures: RequestFigures) -> Sequence[str]:
    """For a terminal."""
    failures = ", ".join(f"{kind} {n}" for kind, n in figures.failures.items()) or "none"
    return (
        f"answered {count(figures.answered)}, owed {count(figures.owed)}",
        f"attempts {count(figures.attempts)}; without an answer: {failures}",
        f"tokens   {count(figures.prompt_tokens)} in prompts, {count(figures.completion_tokens)} in answers; "
        f"{figures.cost:.4f} dollars",
    )


def duration(seconds: float) -> str:
    """5400 -> `1 h 30 min`."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
