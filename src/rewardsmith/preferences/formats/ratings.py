"""Formats in which responses come with ratings: WebGPT, GPT-4-LLM, UltraFeedback."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rewardsmith.preferences.formats.base import (
    BadRow,
    Draft,
    Format,
    RowData,
    as_list,
    as_number,
    as_text,
    having,
    number,
    optional_label,
    present,
    rest,
    text,
    user_turn,
)


class WebGpt(Format):
    """Nakano et al. 2021, arXiv 2112.09332; scores from -1 to 1, both 0 in a tie."""

    name = "webgpt"
    description = "raw WebGPT comparisons: question, answer_0, answer_1, score_0, score_1"
    fields = ("question", "answer_0", "answer_1", "score_0", "score_1")

    def matches(self, rows: Sequence[RowData]) -> str | None:
        return "rows have 'question', two answers and two scores" if having(rows, *self.fields) else None

    def parse(self, row: RowData) -> list[Draft]:
        question = present(row, "question")
        asked = question.get("full_text") if isinstance(question, dict) else question
        metadata = rest(row, *self.fields, "id")
        if isinstance(question, dict):
            metadata["question"] = rest(question, "full_text")
        return [
            Draft(
                prompt=user_turn(as_text(asked, "question.full_text")),
                responses=[text(row, "answer_0"), text(row, "answer_1")],
                scores=[number(row, "score_0"), number(row, "score_1")],
                metadata=metadata,
                id=optional_label(row, ["id"]),
            )
        ]


class Gpt4Llm(Format):
    """Peng et al. 2023, arXiv 2304.03277. The first version names the better one `completion_a`, the second scores."""

    name = "gpt4llm"
    description = "GPT-4-LLM comparisons: user_input, responses_and_scores (or completion_a above completion_b)"
    fields = ("user_input", "responses_and_scores")

    def matches(self, rows: Sequence[RowData]) -> str | None:
        if having(rows, *self.fields):
            return "rows have 'user_input' and 'responses_and_scores'"
        if having(rows, "user_input", "completion_a", "completion_b"):
            return "rows have 'user_input', 'completion_a' (the better) and 'completion_b'"
        return None

    def parse(self, row: RowData) -> list[Draft]:
        prompt = user_turn(text(row, "user_input"))
        if row.get("responses_and_scores") is None and row.get("completion_a") is not None:
            both = [text(row, "completion_a"), text(row, "completion_b")]
            used = ("user_input", "responses_and_scores", "completion_a", "completion_b", "id")
            metadata = rest(row, *used)
            return [Draft(prompt, [*both], [1.0, 0.0], metadata=metadata, id=optional_label(row, ["id"]))]
        rated = _rated(row, "responses_and_scores", text_field="response", score_field="score", name_field="source")
        rated.prompt = prompt
        rated.metadata = rest(row, *self.fields, "id")
        return [rated]


class UltraFeedback(Format):
    """Cui et al. 2023, arXiv 2310.01377; the score is `overall_score`, the name is the model."""

    name = "ultrafeedback"
    description = "UltraFeedback: instruction, completions with overall_score"
    fields = ("instruction", "completions")

    def matches(self, rows: Sequence[RowData]) -> str | None:
        return "rows have 'instruction' and 'completions'" if having(rows, *self.fields) else None

    def parse(self, row: RowData) -> list[Draft]:
        prompt = user_turn(text(row, "instruction"))
        rated = _rated(row, "completions", text_field="response", score_field="overall_score", name_field="model")
        rated.prompt = prompt
        rated.metadata = rest(row, *self.fields, "id")
        return [rated]


def _rated(row: RowData, field: str, *, text_field: str, score_field: str, name_field: str) -> Draft:
    """A draft, still without prompt, from a list of `{text, score, name}` objects."""
    items = as_list(present(row, field), field)
    for position, item in enumerate(items):
        if not isinstance(item, dict):
            raise BadRow(f"{field}[{position}]", "must be an object")
    names = [optional_label(item, [name_field]) for item in items]
    return Draft(
        prompt=[],
        responses=[as_text(*_item(item, field, k, text_field)) for k, item in enumerate(items)],
        scores=[as_number(*_item(item, field, k, score_field)) for k, item in enumerate(items)],
        response_names=[str(name) for name in names] if all(names) else None,
        id=optional_label(row, ["id"]),
    )


def _item(item: RowData, field: str, position: int, name: str) -> tuple[Any, str]:
    place = f"{field}[{position}].{name}"
    if item.get(name) is None:
        raise BadRow(place, "is missing", remedy="add it")
    return item[name], place
