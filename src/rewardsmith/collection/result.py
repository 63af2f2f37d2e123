"""The result of a collection: a versioned, typed file, and all that its card and plots read."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from rewardsmith.collection.keyness import KeyWord
from rewardsmith.evaluation.result import Count, ResultPart, load_typed
from rewardsmith.preferences.audit import AuditReport


class DomainFigures(ResultPart):
    """What one domain gave; `normal` is the plain answer."""

    title: str
    usable: Count = Field(description="Answers that entered preferences.")
    faults: dict[str, Count] = Field(description="Answers left out, by filter; one asked again may stand here twice.")
    words: list[Count] = Field(description="Length of every usable answer, in words by white space.")
    wanted: tuple[int, int] | None = Field(description="The length range that was asked for.")
    keywords: list[KeyWord]


class RequestFigures(ResultPart):
    """Requests and what they took, over all starts."""

    answered: Count
    owed: Count
    attempts: Count
    failures: dict[str, Count] = Field(description="Attempts without an answer, by kind.")
    unknown_fate: Count = Field(
        description="Requests in flight when a process was killed; asked again, perhaps paid twice."
    )
    prompt_tokens: Count
    completion_tokens: Count
    cost: float = Field(
        ge=0, description="US dollars by the price file; attempts of unknown fate at the most they can cost."
    )


class JudgeFigures(ResultPart):
    """How the judge compares with the rule, over pairs of a domain's own and another answer."""

    model: str
    agrees: Count
    contradicts: Count
    ties: Count
    order_dependent: Count = Field(description="Another verdict when the answers were swapped: taken as ties.")
    unreadable: Count = Field(description="No verdict: errors, not ties.")
    agreement: float | None = Field(description="Share of decided pairs on which judge and rule agree.")
    agreement_ci95: tuple[float, float] | None = Field(description="Bootstrap over queries.")


class CollectionResult(ResultPart):
    """One collection, whole or so far."""

    version: Literal[1] = 1
    model: str
    seed: int
    samples: Count
    queries: Count = Field(description="Queries asked.")
    left_out: dict[str, Count] = Field(description="Queries not asked, by reason.")
    records: Count
    pairs: Count
    domains: dict[str, DomainFigures]
    requests: RequestFigures
    judge: JudgeFigures | None = None
    audit: AuditReport | None = Field(description="The audit of the preferences; null where there are none yet.")
    course: list[tuple[float, float, int]] = Field(
        description="Seconds since the first answer, dollars, answer tokens, summed up."
    )
    notes: list[str] = Field(default_factory=list)
    versions: dict[str, str]

    @property
    def complete(self) -> bool:
        """Whether nothing is owed."""
        return self.requests.owed == 0


def load_collection(path: Path) -> CollectionResult:
    """Reads a collection's `result.json`; raises DataError for any other file."""
    return load_typed(path, CollectionResult, "collect", "that of a collection")
