"""LLaMA-Factory's ranking data in its two forms, as https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md
has them; read under the columns' default names, which are also those of our writer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rewardsmith.preferences.formats.base import (
    BadRow,
    Draft,
    Format,
    RowData,
    as_list,
    as_text,
    has_type,
    having,
    optional_label,
    present,
    rest,
    text,
)
from rewardsmith.preferences.formats.pairs import ANNOTATOR_FIELDS
from rewardsmith.preferences.record import GENERAL, Message

_ROLES = {"human": "user", "gpt": "assistant", "system": "system"}


class LlamaFactory(Format):
    name = "llamafactory"
    description = "LLaMA-Factory ranking data, sharegpt form: conversations, chosen and rejected of from and value"
    fields = ("conversations", "chosen", "rejected")

    def matches(self, rows: Sequence[RowData]) -> str | None:
        found = having(rows, *self.fields)
        if not has_type(found, "conversations", list) or not has_type(found, "chosen", dict):
            return None
        return "rows have 'conversations', and 'chosen' and 'rejected' are single turns"

    def parse(self, row: RowData) -> list[Draft]:
        turns = as_list(present(row, "conversations"), "conversations")
        prompt = [_turn(turn, f"conversations[{k}]") for k, turn in enumerate(turns)]
        if system := row.get("system"):
            prompt.insert(0, Message(role="system", content=as_text(system, "system")))
        answers = [_turn(present(row, side), side) for side in ("chosen", "rejected")]
        for side, answer in zip(("chosen", "rejected"), answers, strict=True):
            if answer.role != "assistant":
                raise BadRow(side, "is not a turn of 'gpt', so there is no response")
        return [_draft(row, prompt, [answer.content for answer in answers], *self.fields)]


class LlamaFactoryAlpaca(Format):
    name = "llamafactory-alpaca"
    description = "LLaMA-Factory ranking data, alpaca form: instruction, input, chosen, rejected, maybe system, history"
    fields = ("instruction", "chosen", "rejected")

    def matches(self, rows: Sequence[RowData]) -> str | None:
        return "rows have 'instruction', 'chosen' and 'rejected'" if having(rows, *self.fields) else None

    def parse(self, row: RowData) -> list[Draft]:
        prompt: list[Message] = []
        if system := row.get("system"):
            prompt.append(Message(role="system", content=as_text(system, "system")))
        for k, pair in enumerate(as_list(row.get("history") or [], "history")):
            sides = as_list(pair, f"history[{k}]")
            if len(sides) != 2:
                raise BadRow(f"history[{k}]", f"must be an instruction and its answer, found {len(sides)} texts")
            asked, answered = (as_text(side, f"history[{k}]") for side in sides)
            prompt += [Message(role="user", content=asked), Message(role="assistant", content=answered)]
        # The instruction and its input, when there is one, are two lines of one turn.
        parts = [text(row, "instruction"), as_text(row.get("input") or "", "input")]
        prompt.append(Message(role="user", content="\n".join(part for part in parts if part)))
        return [_draft(row, prompt, [text(row, "chosen"), text(row, "rejected")], *self.fields, "input", "history")]


def _turn(value: Any, field: str) -> Message:
    if not isinstance(value, dict):
        raise BadRow(field, "must be an object with 'from' and 'value'")
    if value.get("from") not in _ROLES:
        raise BadRow(field, f"is from {value.get('from')!r}; known are {', '.join(_ROLES)}")
    return Message.model_validate({"role": _ROLES[value["from"]], "content": as_text(value.get("value"), field)})


def _draft(row: RowData, prompt: list[Message], responses: list[str], *used: str) -> Draft:
    return Draft(
        prompt=prompt,
        responses=[*responses],
        scores=[1.0, 0.0],
        domain=optional_label(row, ["domain"]) or GENERAL,
        annotator=optional_label(row, ANNOTATOR_FIELDS),
        metadata=rest(row, *used, "system", "domain", "id", *ANNOTATOR_FIELDS),
        id=optional_label(row, ["id"]),
    )
