"""Rows with `chosen` and `rejected`: TRL in its four shapes, raw HH-RLHF, RewardBench, binarised UltraFeedback,
people's own pairs, and any other table with such columns."""

from __future__ import annotations

from collections.abc import Sequence

from rewardsmith.preferences.formats.base import (
    BadRow,
    Draft,
    Format,
    RowData,
    as_messages,
    as_text,
    has_type,
    having,
    number,
    optional_label,
    optional_number,
    present,
    rest,
    user_turn,
)
from rewardsmith.preferences.formats.dialogues import as_response, fork, is_transcript, parse_transcript, prompt_turns
from rewardsmith.preferences.record import GENERAL, Message, Response

ANNOTATOR_FIELDS = ("annotator", "annotator_id", "user", "user_id", "rater", "rater_id")
_TRL_COLUMNS = {"prompt", "chosen", "rejected", "margin", "id"}


def parse_pair(row: RowData, *extra_used: str) -> Draft:
    """The draft of a row with `chosen`, `rejected` and maybe `prompt`; text or messages, the prompt explicit or not."""
    prompt, responses = _sides(row)
    return Draft(
        prompt=prompt,
        responses=responses,
        scores=[1.0, 0.0],
        domain=optional_label(row, ["domain"]) or GENERAL,
        annotator=optional_label(row, ANNOTATOR_FIELDS),
        margin=optional_number(row, "margin"),
        metadata=rest(row, "prompt", "chosen", "rejected", "margin", "domain", "id", *ANNOTATOR_FIELDS, *extra_used),
        id=optional_label(row, ["id"]),
    )


def _sides(row: RowData) -> tuple[list[Message], list[Response]]:
    chosen, rejected, prompt = present(row, "chosen"), present(row, "rejected"), row.get("prompt")
    if isinstance(chosen, list) != isinstance(rejected, list):
        raise BadRow("rejected", "must have the same type as 'chosen': both text, or both lists of messages")
    if isinstance(chosen, list):
        return _conversational(as_messages(chosen, "chosen"), as_messages(rejected, "rejected"), prompt)
    chosen, rejected = as_text(chosen, "chosen"), as_text(rejected, "rejected")
    if prompt is not None:
        return _explicit(prompt, chosen, rejected)
    if is_transcript(chosen) and is_transcript(rejected):
        return fork([parse_transcript(chosen, "chosen"), parse_transcript(rejected, "rejected")], "chosen")
    start = _shared_words(chosen, rejected)
    return user_turn(chosen[:start]), [chosen[start:], rejected[start:]]


def _explicit(prompt: object, chosen: str, rejected: str) -> tuple[list[Message], list[Response]]:
    """Behind an open transcript (`..\\n\\nAssistant:`) the blank before the answer belongs to the marker."""
    if isinstance(prompt, str) and prompt.endswith("\n\nAssistant:"):
        chosen, rejected = chosen.removeprefix(" "), rejected.removeprefix(" ")
    return prompt_turns(prompt, "prompt"), [chosen, rejected]


def _conversational(
    chosen: list[Message], rejected: list[Message], prompt: object
) -> tuple[list[Message], list[Response]]:
    """An explicit prompt stands in front of the sides; some data sets repeat it in them, so it is taken off there."""
    if prompt is None or (isinstance(prompt, str) and chosen[0].role != "assistant"):
        return fork([chosen, rejected], "chosen")
    turns = prompt_turns(prompt, "prompt")
    sides = [chosen, rejected]
    if all(len(side) > len(turns) and side[: len(turns)] == turns for side in sides):
        sides = [side[len(turns) :] for side in sides]
    for name, side in zip(("chosen", "rejected"), sides, strict=True):
        if side[-1].role != "assistant":
            raise BadRow(name, "does not end with the assistant's turn, so there is no response")
    return turns, [as_response(side) for side in sides]


def _shared_words(chosen: str, rejected: str) -> int:
    """Length of the prefix that both texts share, cut back to where a word ends: TRL's implicit prompt."""
    differing = (k for k, (a, b) in enumerate(zip(chosen, rejected, strict=False)) if a != b)
    length = next(differing, min(len(chosen), len(rejected)))
    both_go_on = all(text[length : length + 1].isspace() for text in (chosen, rejected))
    while length > 0 and not both_go_on and not chosen[length - 1].isspace():
        length -= 1
    start = len(chosen[:length].rstrip())
    if start == 0:
        raise BadRow("prompt", "is missing, and 'chosen' and 'rejected' share no beginning that could be it", "add it")
    return start


class HhRlhf(Format):
    name = "hh-rlhf"
    description = "raw Anthropic HH-RLHF: 'chosen' and 'rejected' transcripts"
    fields = ("chosen", "rejected")

    def matches(self, rows: Sequence[RowData]) -> str | None:
        found = having(rows, *self.fields)
        plain = [row for row in found if row.get("prompt") is None and is_transcript(row["chosen"])]
        many = plain and 2 * len(plain) >= len(rows)
        return "'chosen' and 'rejected' are Human/Assistant transcripts" if many else None

    def parse(self, row: RowData) -> list[Draft]:
        return [parse_pair(row)]


class Trl(Format):
    name = "trl"
    description = "TRL preference: chosen, rejected, prompt explicit or implicit, text or messages, maybe margin"
    fields = ("prompt", "chosen", "rejected")

    def matches(self, rows: Sequence[RowData]) -> str | None:
        found = having(rows, "chosen", "rejected")
        if not found or any(set(row) - _TRL_COLUMNS for row in rows) or HhRlhf().matches(rows):
            return None
        prompt = "explicit" if having(found, "prompt") else "implicit"
        shape = "conversational" if has_type(found, "chosen", list) else "plain"
        return f"rows have 'chosen' and 'rejected' and nothing foreign; {prompt} prompt, {shape}"

    def parse(self, row: RowData) -> list[Draft]:
        return [parse_pair(row)]


class RewardBench(Format):
    name = "rewardbench"
    description = "RewardBench: prompt, chosen, rejected, subset"
    fields = ("prompt", "chosen", "rejected", "subset")

    def matches(self, rows: Sequence[RowData]) -> str | None:
        return "rows have 'prompt', 'chosen', 'rejected' and 'subset'" if having(rows, *self.fields) else None

    def parse(self, row: RowData) -> list[Draft]:
        draft = parse_pair(row, "chosen_model", "rejected_model")
        models = [optional_label(row, [name]) for name in ("chosen_model", "rejected_model")]
        draft.response_names = [str(name) for name in models] if all(models) else None
        return [draft]


class UltraFeedbackBinarized(Format):
    """Follows the scores: equal ones are a tie, although one side is called chosen."""

    name = "ultrafeedback-binarized"
    description = "binarised UltraFeedback: prompt, chosen and rejected messages with score_chosen and score_rejected"
    fields = ("chosen", "rejected", "score_chosen", "score_rejected")

    def matches(self, rows: Sequence[RowData]) -> str | None:
        return "rows have 'score_chosen' and 'score_rejected' beside the pair" if having(rows, *self.fields) else None

    def parse(self, row: RowData) -> list[Draft]:
        draft = parse_pair(row, "messages", "score_chosen", "score_rejected")
        draft.scores = [number(row, "score_chosen"), number(row, "score_rejected")]
        if draft.scores[0] < draft.scores[1]:
            raise BadRow("score_chosen", "is below 'score_rejected', which contradicts the names")
        return [draft]


class PersonalPairs(Format):
    name = "personal-pairs"
    description = "pairs labelled by people: a pair with a column that names who chose (user, annotator)"
    fields = ("prompt", "chosen", "rejected", "user")
    rank = 1

    def matches(self, rows: Sequence[RowData]) -> str | None:
        for name in ANNOTATOR_FIELDS:
            if having(rows, "prompt", "chosen", "rejected", name):
                return f"rows have 'prompt', 'chosen' and 'rejected', and '{name}' names who chose"
        return None

    def parse(self, row: RowData) -> list[Draft]:
        return [parse_pair(row)]


class Pairs(Format):
    name = "pairs"
    description = "any table with prompt, chosen, rejected; other columns are kept as metadata"
    fields = ("prompt", "chosen", "rejected")
    rank = 2

    def matches(self, rows: Sequence[RowData]) -> str | None:
        return "rows have 'chosen' and 'rejected' beside other columns" if having(rows, "chosen", "rejected") else None

    def parse(self, row: RowData) -> list[Draft]:
        return [parse_pair(row)]
