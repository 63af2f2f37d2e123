"""What `score` and `rank` read: prompts with responses, judged or not.

Any preference format will do; besides, lines with `prompt` and `responses` (or one `response`) and no scores.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rewardsmith.errors import DataError, nearest
from rewardsmith.preferences.formats.base import BadRow, RowData, as_list, as_messages, as_text, optional_label
from rewardsmith.preferences.formats.dialogues import prompt_turns
from rewardsmith.preferences.reading import (
    SAMPLE_ROWS,
    Counts,
    Dropped,
    OnError,
    PreferenceReader,
    leave_out,
    left_out_lines,
)
from rewardsmith.preferences.record import GENERAL, Message, Preference, Response, content_hash
from rewardsmith.preferences.sample import located
from rewardsmith.preferences.streaming import Row, stream_rows


@dataclass(frozen=True, slots=True)
class Candidates:
    """A prompt and one or more responses to be scored."""

    id: str
    prompt: Sequence[Message]
    responses: Sequence[Response]
    domain: str | None = None


class CandidateReader:
    """Iterates over the candidates of a source, once; `notes` then list the rows that were skipped.

    With `domain`, judged records of other domains are left out; those that name no domain are everybody's.
    """

    def __init__(
        self, source: str, *, format: str | None = None, domain: str | None = None, on_error: OnError = "stop"
    ) -> None:
        self.source, self.domain, self.on_error = source, domain, on_error
        self._dropped: list[Dropped] = []
        self._counts = Counts()
        rows = stream_rows(located(source))
        head = list(itertools.islice(rows, SAMPLE_ROWS))
        if not head:
            raise DataError(f"{source}: holds no rows")
        self._rows = itertools.chain(head, rows)
        self._judged: PreferenceReader | None = None
        if format is not None or not any(_is_unjudged(row.value) for row in head if row.fault is None):
            self._judged = PreferenceReader(located(source), format=format, on_error=on_error, rows=self._rows)

    @property
    def notes(self) -> list[str]:
        """Sentences for the user: what was left out and why."""
        if self._judged is not None:
            return left_out_lines(self._judged.dropped, self._judged.counts)
        return left_out_lines(self._dropped, self._counts)

    def __iter__(self) -> Iterator[Candidates]:
        if self._judged is None:
            yield from self._unjudged()
            return
        others: set[str] = set()
        given = 0
        for p in self._judged:
            if self.domain is None or p.domain in (self.domain, GENERAL):
                given += 1
                yield Candidates(p.id, p.prompt, p.responses, p.domain)
            else:
                others.add(p.domain)
        if not given and self.domain is not None:
            raise _no_domain(self.source, self.domain, others)

    def _unjudged(self) -> Iterator[Candidates]:
        for row in self._rows:
            try:
                yield _parse(row)
            except BadRow as bad:
                if self.on_error == "stop":
                    raise DataError(
                        f"{self.source}, {row.place}: {bad}; {bad.remedy} or read with --on-error skip"
                    ) from None
                leave_out(row, str(bad), self._dropped, self._counts)


def of_domain(preferences: Sequence[Preference], domain: str | None, source: str) -> list[Preference]:
    """A set's preferences of one domain; all of a set that names no domain, and all without `domain`.

    Raises:
        DataError: the set has other domains only.
    """
    there = {p.domain for p in preferences}
    if domain is None or there == {GENERAL}:
        return list(preferences)
    if domain not in there:
        raise _no_domain(source, domain, there)
    return [p for p in preferences if p.domain == domain]


def _no_domain(source: str, domain: str, there: set[str]) -> DataError:
    known = ", ".join(sorted(there))
    return DataError(f"{source}: there is no domain '{domain}'{nearest(domain, there)}; there are {known}")


def _is_unjudged(row: RowData) -> bool:
    return "prompt" in row and ("responses" in row or "response" in row) and "scores" not in row


def _parse(row: Row) -> Candidates:
    if row.fault is not None:
        raise BadRow("row", row.fault)
    value = row.value
    if "prompt" not in value:
        raise BadRow("prompt", "is missing", "add it")
    prompt = prompt_turns(value["prompt"], "prompt")
    if not any(message.content.strip() for message in prompt):
        raise BadRow("prompt", "is empty")
    if "responses" in value:
        responses = [_response(r, f"responses.{k}") for k, r in enumerate(as_list(value["responses"], "responses"))]
    elif "response" in value:
        if isinstance(value["response"], list) and all(isinstance(r, str) for r in value["response"]):
            raise BadRow("response", "holds a list of texts", "call the field 'responses'")
        responses = [_response(value["response"], "response")]
    else:
        raise BadRow("responses", "is missing", "add a list of responses, or one 'response'")
    if not responses:
        raise BadRow("responses", "is empty", "add a response")
    name = optional_label(value, ["id"]) or content_hash(prompt, responses)
    return Candidates(name, prompt, responses, optional_label(value, ["domain"]))


def _response(value: object, field: str) -> Response:
    return as_messages(value, field) if isinstance(value, list) else as_text(value, field)
