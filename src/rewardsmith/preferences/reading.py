"""Reads preferences from any source that `streaming` knows, in any format that `formats` knows.

    for preference in read_preferences("pairs.jsonl"): ...
    loaded = load_preferences("data.json", on_error="skip")

It says what it took the file for, refuses a bad row with file, place, field and reason, and counts what it dropped.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from rewardsmith.errors import DataError, nearest
from rewardsmith.preferences.formats import BadRow, Detected, Draft, detect, format_named
from rewardsmith.preferences.record import Preference, content_hash, response_text
from rewardsmith.preferences.streaming import STDIN, Row, stream_rows

OnError = Literal["stop", "skip"]
SAMPLE_ROWS = 50
"""Rows that detection looks at."""
MOST_DROPPED = 100
"""Dropped rows that a reader remembers; it counts all."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A row that was skipped: where it stood and why."""

    place: str
    reason: str


@dataclass(slots=True)
class Counts:
    """What a reader saw: records given out, rows dropped, and records of the kinds that training can not use fully."""

    records: int = 0
    dropped: int = 0
    ties: int = 0
    identical: int = 0
    empty: int = 0

    def note(self, preference: Preference) -> None:
        """Counts one record: `ties` have two equal scores, `identical` two equal responses, `empty` a blank one."""
        texts = [response_text(response).strip() for response in preference.responses]
        self.records += 1
        self.ties += len(set(preference.scores)) < len(preference.scores) and _pair_like(preference)
        self.identical += any(a == b for a, b in itertools.combinations(preference.responses, 2))
        self.empty += not all(texts)


def _pair_like(preference: Preference) -> bool:
    """Equal scores are a tie in a pair, or where all are equal; in a list (DSP) zeros are only 'not preferred'."""
    return len(preference.scores) == 2 or len(set(preference.scores)) == 1


class PreferenceReader:
    """Iterates over the preferences of a source, in constant memory but for about 100 bytes an id.

    `format` and `reason` say what the source was taken for; `dropped` holds the first skipped rows; `counts` and
    `notes` are complete once the iteration has ended. It can be iterated again, except over standard input.
    """

    def __init__(
        self,
        source: str | Path,
        *,
        format: str | None = None,
        domain: str | None = None,
        on_error: OnError = "stop",
        rows: Iterator[Row] | None = None,
    ) -> None:
        """`rows` are the source's, where the caller has opened it already to look at the first."""
        self.source = str(source)
        self.domain = domain
        self.on_error = on_error
        self._name = "standard input" if self.source == STDIN else self.source
        chosen = format_named(format) if format else None
        rows = rows if rows is not None else stream_rows(source)
        head = list(itertools.islice(rows, SAMPLE_ROWS))
        self._first_pass: Iterator[Row] | None = itertools.chain(head, rows)
        self._detected = Detected(chosen, "chosen by name") if chosen else self._detect(head)
        self._reset()

    @property
    def format(self) -> str:
        return self._detected.format.name

    @property
    def reason(self) -> str:
        return self._detected.reason

    @property
    def notes(self) -> list[str]:
        """Sentences for the user: what was read as what, and what deserves attention."""
        counts = self.counts
        lines = [f"{self._name}: read as {self.format} ({self.reason})"]
        lines += left_out_lines(self.dropped, counts)
        if counts.ties:
            lines.append(f"{counts.ties} of {counts.records} records are ties, which rank nothing")
        if counts.identical:
            lines.append(f"{counts.identical} records hold identical responses, which rank nothing between them")
        if counts.empty:
            lines.append(f"{counts.empty} records hold an empty response; they are kept, look whether they belong")
        return lines

    def __iter__(self) -> Iterator[Preference]:
        rows = self._take_rows()
        self._reset()
        for row in rows:
            for preference in self._records(row):
                self._domains[preference.domain] += 1
                if self.domain is None or preference.domain == self.domain:
                    self.counts.note(preference)
                    yield preference
        self._refuse_nothing()

    def _reset(self) -> None:
        self.dropped: list[Dropped] = []
        self.counts = Counts()
        self._domains: Counter[str] = Counter()
        self._ids = _UniqueIds()

    def _take_rows(self) -> Iterator[Row]:
        rows, self._first_pass = self._first_pass, None
        if rows is not None:
            return rows
        if self.source == STDIN:
            raise DataError("standard input can be read only once; save it to a file first")
        return stream_rows(self.source)

    def _detect(self, head: list[Row]) -> Detected:
        readable = [row.value for row in head if row.fault is None]
        if readable:
            return detect(readable, self._name)
        if not head:
            raise DataError(f"{self._name}: holds no rows")
        raise DataError(f"{self._name}, {head[0].place}: {head[0].fault}")

    def _records(self, row: Row) -> list[Preference]:
        """The row's preferences; none when it is bad and bad rows are skipped."""
        try:
            if row.fault is not None:
                raise _Refused(row.fault, "mend it")
            return [self._finish(draft) for draft in self._detected.format.parse(row.value)]
        except BadRow as bad:
            refused = _Refused(str(bad), bad.remedy)
        except _Refused as fault:
            refused = fault
        if self.on_error == "stop":
            raise DataError(
                f"{self._name}, {row.place}: {refused.reason}; {refused.remedy} or read with --on-error skip"
            ) from None
        leave_out(row, refused.reason, self.dropped, self.counts)
        return []

    def _finish(self, draft: Draft) -> Preference:
        if not any(message.content.strip() for message in draft.prompt):
            raise BadRow("prompt", "is empty")
        if len(draft.responses) < 2:
            raise BadRow("responses", f"number {len(draft.responses)}; a preference needs two or more", "add another")
        try:
            return Preference(
                id=self._ids.unique(draft.id or _content_id(draft)),
                prompt=draft.prompt,
                responses=draft.responses,
                scores=draft.scores,
                domain=draft.domain,
                annotator=draft.annotator,
                source=self.format if draft.source == "" else draft.source,
                response_names=draft.response_names,
                margin=draft.margin,
                metadata=draft.metadata,
            )
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "scores"
            raise BadRow(place, f"is wrong: {first['msg'].removeprefix('Value error, ')}") from None

    def _refuse_nothing(self) -> None:
        if self.counts.records:
            return
        if self.domain is not None and self._domains:
            there = sorted(self._domains)
            hint = nearest(self.domain, there)
            raise DataError(f"{self._name}: there is no domain '{self.domain}'{hint}; there are {', '.join(there)}")
        why = f"; the first, {self.dropped[0].place}: {self.dropped[0].reason}" if self.dropped else ""
        raise DataError(f"{self._name}: no preference could be read, {self.counts.dropped} rows were dropped{why}")


def leave_out(row: Row, reason: str, dropped: list[Dropped], counts: Counts) -> None:
    """Counts a skipped row, and remembers it if it is among the first `MOST_DROPPED`."""
    counts.dropped += 1
    if len(dropped) < MOST_DROPPED:
        dropped.append(Dropped(row.place, reason))


def left_out_lines(dropped: Sequence[Dropped], counts: Counts) -> list[str]:
    """Says how many rows were left out, and lists those that are remembered."""
    count = counts.dropped
    if not count:
        return []
    more = [f"  and {count - len(dropped)} more"] if count > len(dropped) else []
    rows = "1 bad row was" if count == 1 else f"{count} bad rows were"
    return [f"{rows} left out:", *(f"  {row.place}: {row.reason}" for row in dropped), *more]


class _Refused(Exception):
    """Why a row is not taken and what can be done."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason, self.remedy = reason, remedy


class _UniqueIds:
    """Gives the second record of an id the id `x-2`, and so on. Remembers hashes, not texts, to stay small."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._repeats: Counter[str] = Counter()

    def unique(self, name: str) -> str:
        while hash(candidate := self._numbered(name)) in self._seen:
            self._repeats[name] += 1
        self._seen.add(hash(candidate))
        return candidate

    def _numbered(self, name: str) -> str:
        repeats = self._repeats.get(name, 0)
        return f"{name}-{repeats + 1}" if repeats else name


def _content_id(draft: Draft) -> str:
    return content_hash(
        draft.prompt, draft.responses, draft.scores, draft.domain, draft.annotator, draft.response_names
    )


@dataclass(slots=True)
class LoadedPreferences:
    """All preferences of a source in memory, and what its reader said about them."""

    preferences: list[Preference]
    format: str
    reason: str
    dropped: list[Dropped]
    counts: Counts
    notes: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[Preference]:
        return iter(self.preferences)

    def __len__(self) -> int:
        return len(self.preferences)


def read_preferences(
    source: str | Path, *, format: str | None = None, domain: str | None = None, on_error: OnError = "stop"
) -> PreferenceReader:
    """A streaming reader over a file, `-`, a folder or a Hugging Face data set; its first rows are read at once.

    `format` overrides detection, `domain` keeps one domain's records, `on_error="skip"` drops and counts bad rows.
    Raises DataError here for an unknown format or an unreadable source, and while iterating for a bad row.
    """
    return PreferenceReader(source, format=format, domain=domain, on_error=on_error)


def load_preferences(
    source: str | Path, *, format: str | None = None, domain: str | None = None, on_error: OnError = "stop"
) -> LoadedPreferences:
    """Like `read_preferences`, but all at once."""
    reader = read_preferences(source, format=format, domain=domain, on_error=on_error)
    preferences = list(reader)
    return LoadedPreferences(preferences, reader.format, reader.reason, reader.dropped, reader.counts, reader.notes)


def with_annotator_domains(preferences: Iterable[Preference]) -> list[Preference]:
    """The same records, each in its annotator's own domain. Raises DataError for a record that names nobody."""
    return [in_annotator_domain(preference) for preference in preferences]


def in_annotator_domain(preference: Preference) -> Preference:
    """The record in its annotator's own domain. Raises DataError where it names nobody."""
    if preference.annotator is None:
        raise DataError(f"record {preference.id}: it names no annotator, so it can not be given a person's domain")
    return preference.model_copy(update={"domain": preference.annotator})
