"""Tells the format of a file from its first rows, says why, and refuses to guess when two readings would differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rewardsmith.errors import DataError
from rewardsmith.preferences.formats.base import BadRow, Draft, Format, RowData
from rewardsmith.preferences.formats.registry import FORMATS


@dataclass(frozen=True, slots=True)
class Detected:
    """What a file was taken for, and why."""

    format: Format
    reason: str


def detect(rows: Sequence[RowData], where: str) -> Detected:
    """The format of the first rows of a file called `where`.

    Raises DataError when no format fits, or when several equally specific ones do and read the rows differently.
    """
    found = [Detected(each, reason) for each in FORMATS.values() if (reason := each.matches(rows))]
    if not found:
        raise DataError(_no_format(rows, where))
    rank = min(each.format.rank for each in found)
    best = [each for each in found if each.format.rank == rank]
    readings = [_reading(each.format, rows) for each in best]
    if any(reading != readings[0] for reading in readings[1:]):
        choices = ", ".join(f"{each.format.name} ({each.reason})" for each in best)
        raise DataError(f"{where}: could be read in several ways: {choices}; choose one with --format")
    return best[0]


def _reading(chosen: Format, rows: Sequence[RowData]) -> list[list[Draft] | None]:
    """What the format makes of each row, metadata aside."""
    return [_parsed_or_none(chosen, row) for row in rows]


def _parsed_or_none(chosen: Format, row: RowData) -> list[Draft] | None:
    try:
        return [replace(draft, metadata={}) for draft in chosen.parse(row)]
    except BadRow:
        return None


def _no_format(rows: Sequence[RowData], where: str) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    near = max(FORMATS.values(), key=lambda each: len(set(columns) & set(each.fields)) / len(each.fields))
    shown = ", ".join(columns[:12]) or "none"
    start = f"{where}: the format is not known; the rows have the fields: {shown}"
    missing = [name for name in near.fields if name not in columns]
    if len(missing) == len(near.fields):
        return f"{start}. Rename the columns to prompt, chosen, rejected, or choose --format: {', '.join(FORMATS)}"
    if missing:
        return f"{start}. Nearest is '{near.name}', but {_quoted(missing)} is missing; add it or choose with --format"
    fault = f"most rows lack some of its fields, or hold other types in them ({near.description})"
    return f"{start}. Nearest is '{near.name}', but {fault}; choose with --format"


def _quoted(names: list[str]) -> str:
    return " and ".join(f"'{name}'" for name in names)
