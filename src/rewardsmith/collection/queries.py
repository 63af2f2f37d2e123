"""What is asked: queries from text lines, JSONL, CSV, or any preference file (its prompts).

It knows nothing of domains. Which of the queries are worth asking is `choosing`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rewardsmith.errors import DataError
from rewardsmith.preferences.reading import PreferenceReader
from rewardsmith.preferences.record import Message, content_hash
from rewardsmith.preferences.sample import located
from rewardsmith.preferences.streaming import Row, stream_rows

COLUMNS = ("query", "prompt", "question", "instruction", "text")
"""Names under which a JSONL or CSV row may hold its query, the first that is there."""


@dataclass(frozen=True, slots=True)
class Query:
    """One thing to ask: a single user turn, or a dialogue that ends with one."""

    id: str
    prompt: tuple[Message, ...]

    @property
    def text(self) -> str:
        """The last user turn."""
        return self.prompt[-1].content

    @property
    def key(self) -> str:
        """The normalised dialogue: equal keys are the same query."""
        return "\n".join(" ".join(m.content.lower().split()) for m in self.prompt)


@dataclass(frozen=True, slots=True)
class Queries:
    """What a source held: each different query once, and how many were the same as an earlier one."""

    queries: list[Query]
    repeated: int
    notes: list[str]


def load_queries(source: str) -> Queries:
    """Reads queries: `.txt` is one a line; a row of JSONL or CSV has one of the columns `query`, `prompt`, `question`,
    `instruction`, `text` and may have an `id`; anything else is read as preferences, of which only prompts are used.

    Raises:
        DataError: nothing to ask, a row without a query, or an id that stands twice for different queries.
    """
    path = located(source)
    if Path(path).suffix == ".txt":
        found, note = list(_of_lines(path)), f"{source}: read as one query a line"
    else:
        rows = stream_rows(path)
        first = next(rows, None)
        if first is None:
            raise DataError(f"{source}: holds no queries")
        if _is_query_row(first):
            found = [_of_row(row, source) for row in [first, *rows]]
            note = f"{source}: read as rows with '{_column(first.value)}'"
        else:
            reader = PreferenceReader(path, on_error="skip")
            # One prompt stands there once for each domain or pair: that is no repetition to speak of.
            found = list(dict.fromkeys(Query("", tuple(_asked(p.prompt))) for p in reader))
            note = f"{reader.notes[0]}; only its prompts are used"
    return _unique(found, source, note)


def _of_lines(path: str) -> Iterator[Query]:
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as UTF-8 text ({error})") from error
    for line in text.splitlines():
        if line.strip():
            yield _single(line.strip())


def _single(text: str, name: str = "") -> Query:
    return Query(name, (Message(role="user", content=text),))


def _is_query_row(row: Row) -> bool:
    """A row that has a query in text and no responses beside it."""
    named = {"chosen", "rejected", "responses", "scores", "completions", "answer_0", "response_a", "completion_a"}
    column = _column(row.value)
    return (
        row.fault is None and column is not None and isinstance(row.value[column], str) and not named & set(row.value)
    )


def _column(value: dict[str, Any]) -> str | None:
    return next((name for name in COLUMNS if name in value), None)


def _of_row(row: Row, source: str) -> Query:
    if row.fault is not None:
        raise DataError(f"{source}, {row.place}: {row.fault}; mend it")
    column = _column(row.value)
    value = row.value.get(column) if column else None
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{source}, {row.place}: has no query in any of {', '.join(COLUMNS)}; fill one or drop the row")
    name = row.value.get("id")
    return _single(value.strip(), "" if name is None else str(name))


def _asked(prompt: Sequence[Message]) -> list[Message]:
    """The dialogue up to its last user turn, without anyone's system prompt."""
    turns = [m for m in prompt if m.role in ("user", "assistant")]
    while turns and turns[-1].role != "user":
        turns.pop()
    return turns


def _unique(found: list[Query], source: str, note: str) -> Queries:
    kept: dict[str, Query] = {}
    ids: dict[str, str] = {}
    for query in found:
        if not query.prompt:
            continue
        _refuse_half_characters(query, source)
        name = query.id or content_hash([m.model_dump() for m in query.prompt])
        if ids.setdefault(name, query.key) != query.key:
            raise DataError(f"{source}: the id '{name}' stands for two different queries; give each its own")
        kept.setdefault(query.key, Query(name, query.prompt))
    if not kept:
        raise DataError(f"{source}: holds no queries; write one a line, or rows with a column 'query'")
    return Queries(list(kept.values()), len(found) - len(kept), [note])


def _refuse_half_characters(query: Query, source: str) -> None:
    """Half a surrogate pair, which JSON can write and no server can be sent."""
    for message in query.prompt:
        try:
            message.content.encode()
        except UnicodeEncodeError as error:
            before = message.content[max(0, error.start - 20) : error.start]
            raise DataError(
                f"{source}: a query holds half a surrogate pair, after '{before}'; mend it there"
            ) from error
