"""What is in a preference file, for `inspect`: one pass, constant memory but for the prompts' keys."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Literal

from pydantic import BaseModel, Field

from rewardsmith.preferences.reading import OnError, in_annotator_domain, read_preferences
from rewardsmith.preferences.record import Preference, response_text
from rewardsmith.preferences.sample import located

_SHOWN = 12


class FileSummary(BaseModel):
    """Counts over a whole file, and its first records."""

    version: Literal[1] = 1
    source: str
    format: str
    reason: str
    records: int
    prompts: int
    pairs: int = Field(description="Pairs that rank something.")
    responses: dict[int, int] = Field(description="Number of records by number of responses.")
    domains: dict[str, int] = Field(description="Records of each domain; of each annotator where that was asked for.")
    annotators: int
    turns: dict[int, int] = Field(description="Number of records by number of prompt messages.")
    words: dict[str, float] = Field(description="Mean words of prompts, of best and of other responses.")
    notes: list[str]
    examples: list[Preference]

    def to_text(self) -> str:
        """The summary for a terminal."""
        domains = [f"{name} {count}" for name, count in self.domains.items()]
        more = f", and {len(domains) - _SHOWN} more" if len(domains) > _SHOWN else ""
        lines = [
            *self.notes,
            "",
            f"records     {self.records}",
            f"prompts     {self.prompts} different",
            f"pairs       {self.pairs} that rank something",
            f"responses   {_counts(self.responses)}",
            f"turns       {_counts(self.turns)}",
            f"domains     {', '.join(domains[:_SHOWN])}{more}",
            f"annotators  {self.annotators or 'not named'}",
            "mean words  " + ", ".join(f"{name} {value:.0f}" for name, value in self.words.items()),
        ]
        for example in self.examples:
            lines += ["", f"example {example.id} (domain {example.domain})"]
            lines += [f"  {m.role}: {_short(m.content)}" for m in example.prompt]
            names = example.response_names or [""] * len(example.responses)
            for score, name, response in zip(example.scores, names, example.responses, strict=True):
                lines.append(f"  [{score:g}{' ' + name if name else ''}] {_short(response_text(response))}")
        return "\n".join(lines)


def summarise_file(
    source: str,
    *,
    format: str | None = None,
    domain: str | None = None,
    by: Literal["domain", "annotator"] = "domain",
    on_error: OnError = "stop",
    examples: int = 1,
) -> FileSummary:
    """Reads the whole file once; by annotator, each record stands in its annotator's domain.

    Raises DataError as reading does, and for a record that names no annotator where they are asked for.
    """
    reader = read_preferences(located(source), format=format, domain=domain, on_error=on_error)
    records = map(in_annotator_domain, reader) if by == "annotator" else iter(reader)
    first = list(itertools.islice(records, max(examples, 1)))
    responses: Counter[int] = Counter()
    domains: Counter[str] = Counter()
    turns: Counter[int] = Counter()
    prompts: set[int] = set()
    annotators: set[str] = set()
    words = {"prompt": _Mean(), "best response": _Mean(), "other responses": _Mean()}
    pairs = 0
    for preference in itertools.chain(first, records):
        responses[len(preference.responses)] += 1
        domains[preference.domain] += 1
        turns[len(preference.prompt)] += 1
        prompts.add(hash(preference.prompt_key()))
        pairs += len(preference.pairs())
        if preference.annotator is not None:
            annotators.add(preference.annotator)
        words["prompt"].add(sum(len(m.content.split()) for m in preference.prompt))
        for score, response in zip(preference.scores, preference.responses, strict=True):
            name = "best response" if score == max(preference.scores) else "other responses"
            words[name].add(len(response_text(response).split()))
    return FileSummary(
        source=source,
        format=reader.format,
        reason=reader.reason,
        records=reader.counts.records,
        prompts=len(prompts),
        pairs=pairs,
        responses=dict(sorted(responses.items())),
        domains=dict(domains.most_common()),
        annotators=len(annotators),
        turns=dict(sorted(turns.items())),
        words={name: mean.value for name, mean in words.items()},
        notes=reader.notes,
        examples=first[:examples],
    )


class _Mean:
    def __init__(self) -> None:
        self.total, self.count = 0, 0

    def add(self, value: int) -> None:
        self.total += value
        self.count += 1

    @property
    def value(self) -> float:
        return self.total / self.count if self.count else 0.0


def _counts(counts: dict[int, int]) -> str:
    shown = [f"{count} x {size}" for size, count in counts.items()]
    return ", ".join(shown[:_SHOWN]) + (" ..." if len(shown) > _SHOWN else "")


def _short(text: str, most: int = 300) -> str:
    folded = " ".join(text.split())
    return folded if len(folded) <= most else folded[:most].rstrip() + " ..."
