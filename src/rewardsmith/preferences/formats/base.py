"""What a format is, what it makes of a row, and typed access to the row's fields.

Every complaint is a `BadRow` with the field and the reason; the reader adds file and line.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, get_args

from rewardsmith.preferences.record import GENERAL, Message, Response

RowData = dict[str, Any]
ROLES: tuple[str, ...] = get_args(Message.model_fields["role"].annotation)


class BadRow(Exception):
    """A row that is not what its format promises; `remedy` is what its owner can do."""

    def __init__(self, field: str, reason: str, remedy: str = "mend it") -> None:
        super().__init__(f"'{field}' {reason}")
        self.field, self.reason, self.remedy = field, reason, remedy


@dataclass(slots=True)
class Draft:
    """A record before it has its id: what a format makes of one row.

    `id` is the file's own, if it has one; an empty `source` stands for the format's name.
    """

    prompt: list[Message]
    responses: list[Response]
    scores: list[float]
    domain: str = GENERAL
    annotator: str | None = None
    response_names: list[str] | None = None
    margin: float | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    id: str | None = None
    source: str | None = ""


class Format(ABC):
    """One public format. `rank` orders detection: the most specific (0) first, generic ones later."""

    name: ClassVar[str]
    description: ClassVar[str]
    fields: ClassVar[tuple[str, ...]]
    rank: ClassVar[int] = 0

    @abstractmethod
    def matches(self, rows: Sequence[RowData]) -> str | None:
        """Why these first rows of a file look like this format, or None."""

    @abstractmethod
    def parse(self, row: RowData) -> list[Draft]:
        """The preferences that a row holds. Raises BadRow."""


def having(rows: Sequence[RowData], *fields: str) -> list[RowData]:
    """The rows that have all the fields, if they are at least half of all: a few bad rows must not hide a format."""
    found = [row for row in rows if all(row.get(name) is not None for name in fields)]
    return found if found and 2 * len(found) >= len(rows) else []


def has_type(rows: Sequence[RowData], field: str, kind: type) -> bool:
    """Whether at least half of the rows hold this type in the field (and there are rows)."""
    return bool(rows) and 2 * sum(isinstance(row.get(field), kind) for row in rows) >= len(rows)


def present(row: RowData, field: str) -> Any:
    """The field's value. Raises BadRow when it is missing or null."""
    value = row.get(field)
    if value is None:
        raise BadRow(field, "is null" if field in row else "is missing", remedy="add it")
    return value


def as_text(value: Any, field: str) -> str:
    """The value, if it is text that UTF-8 can hold."""
    if not isinstance(value, str):
        raise BadRow(field, f"must be text, found {_kind(value)}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadRow(field, "holds half of a surrogate pair, which no UTF-8 file can") from None
    return value


def as_number(value: Any, field: str) -> float:
    """The value, if it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRow(field, f"must be a number, found {_kind(value)}")
    try:
        number = float(value)
    except OverflowError:
        raise BadRow(field, "must be a number that fits a double") from None
    if not math.isfinite(number):
        raise BadRow(field, f"must be a finite number, found {value}")
    return number


def as_list(value: Any, field: str) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise BadRow(field, f"must be a list, found {_kind(value)}")
    return list(value)


def as_messages(value: Any, field: str) -> list[Message]:
    """A list of `{role, content}`; content may be a list of text parts, as chat interfaces write it."""
    messages = []
    for number, item in enumerate(as_list(value, field), 1):
        if not isinstance(item, dict):
            raise BadRow(field, f"must be a list of messages; message {number} is {_kind(item)}")
        role, content = item.get("role"), item.get("content")
        if role not in ROLES:
            raise BadRow(field, f"message {number} has the role {role!r}; known roles are {', '.join(ROLES)}")
        if isinstance(content, list):
            content = _joined_parts(content, field, number)
        if not isinstance(content, str):
            raise BadRow(field, f"message {number} has {_kind(content)} as its content; it must be text")
        messages.append(Message(role=role, content=as_text(content, field)))
    if not messages:
        raise BadRow(field, "is an empty list of messages")
    return messages


def _joined_parts(parts: list[Any], field: str, number: int) -> str:
    texts = [part.get("text") for part in parts if isinstance(part, dict) and part.get("type", "text") == "text"]
    if len(texts) < len(parts) or not all(isinstance(text, str) for text in texts):
        raise BadRow(field, f"message {number} holds something other than text; only text can be read")
    return "\n".join(str(text) for text in texts)


def text(row: RowData, field: str) -> str:
    return as_text(present(row, field), field)


def number(row: RowData, field: str) -> float:
    return as_number(present(row, field), field)


def optional_number(row: RowData, field: str) -> float | None:
    return None if row.get(field) is None else number(row, field)


def optional_label(row: RowData, fields: Iterable[str]) -> str | None:
    """The first of these fields that holds a name (text or a whole number), as text."""
    for name in fields:
        value = row.get(name)
        if (isinstance(value, str) and value) or (isinstance(value, int) and not isinstance(value, bool)):
            return as_text(str(value), name)
    return None


def user_turn(content: str) -> list[Message]:
    return [Message(role="user", content=content)]


def rest(row: RowData, *used: str) -> dict[str, Any]:
    """What the row has besides: the record's metadata. Nulls are left out, since Parquet fills gaps with them."""
    return {name: value for name, value in row.items() if name not in used and value is not None}


def _kind(value: Any) -> str:
    names = {str: "text", dict: "an object", list: "a list", bool: "true or false", int: "a number", float: "a number"}
    return "null" if value is None else names.get(type(value), type(value).__name__)
