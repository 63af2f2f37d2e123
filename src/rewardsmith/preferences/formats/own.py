"""Our own record as a row: one JSON object a line, or a Parquet row with the flat columns that `parquet_row` makes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rewardsmith.preferences.formats.base import (
    BadRow,
    Draft,
    Format,
    RowData,
    as_list,
    as_messages,
    as_number,
    as_text,
    has_type,
    having,
    optional_label,
    optional_number,
    present,
    rest,
)
from rewardsmith.preferences.formats.dialogues import prompt_turns
from rewardsmith.preferences.record import GENERAL, Preference, Response, response_text

_COLUMNS = tuple(Preference.model_fields)
FORKED = "response_messages"
"""Parquet column: a response's messages as JSON where it is a list of messages, else null."""


class Own(Format):
    name = "rewardsmith"
    description = "Rewardsmith's own record: prompt (messages), responses, scores"
    fields = ("prompt", "responses", "scores")

    def matches(self, rows: Sequence[RowData]) -> str | None:
        found = having(rows, *self.fields)
        if has_type(found, "responses", list) and has_type(found, "scores", list):
            return "rows have 'prompt', 'responses' and 'scores'"
        return None

    def parse(self, row: RowData) -> list[Draft]:
        prompt = present(row, "prompt")
        scores = as_list(present(row, "scores"), "scores")
        return [
            Draft(
                prompt=prompt_turns(prompt, "prompt"),
                responses=_responses(row),
                scores=[as_number(score, "scores") for score in scores],
                domain=optional_label(row, ["domain"]) or GENERAL,
                annotator=optional_label(row, ["annotator"]),
                response_names=_names(row.get("response_names")),
                margin=optional_number(row, "margin"),
                metadata=_metadata(row),
                id=optional_label(row, ["id"]),
                source=optional_label(row, ["source"]),
            )
        ]


def _names(value: Any) -> list[str] | None:
    return None if value is None else [as_text(name, "response_names") for name in as_list(value, "response_names")]


def _responses(row: RowData) -> list[Response]:
    values = as_list(present(row, "responses"), "responses")
    forked = as_list(row.get(FORKED) or [None] * len(values), FORKED)
    if len(forked) != len(values):
        raise BadRow(FORKED, f"has {len(forked)} entries for {len(values)} responses")
    responses: list[Response] = []
    for value, messages in zip(values, forked, strict=True):
        if messages is not None:
            value = _from_json(messages, FORKED)
        responses.append(as_messages(value, "responses") if isinstance(value, list) else as_text(value, "responses"))
    return responses


def _metadata(row: RowData) -> dict[str, Any]:
    value = row.get("metadata")
    if isinstance(value, str):
        value = _from_json(value, "metadata")
    if value is not None and not isinstance(value, dict):
        raise BadRow("metadata", "must be an object")
    return {**(value or {}), **rest(row, *_COLUMNS, FORKED)}


def _from_json(text: Any, field: str) -> Any:
    try:
        return json.loads(as_text(text, field))
    except ValueError as error:
        raise BadRow(field, f"holds text that is not valid JSON ({error})") from None


def json_row(preference: Preference) -> RowData:
    """The record as its JSON object; fields that hold their default are left out."""
    keep = {"id", "prompt", "responses", "scores", "domain", "annotator", "source"}
    row = preference.model_dump()
    return {name: value for name, value in row.items() if name in keep or value not in (None, {})}


def parquet_row(preference: Preference) -> RowData:
    """The record as flat columns: text in `responses`, forked responses and metadata as JSON text beside."""
    row = preference.model_dump()
    forked = [None if isinstance(response, str) else json.dumps(response) for response in row["responses"]]
    row["responses"] = [response_text(response) for response in preference.responses]
    row[FORKED] = forked if any(forked) else None
    row["metadata"] = json.dumps(row["metadata"], default=str) if row["metadata"] else None
    return row
