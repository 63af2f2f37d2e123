"""Formats with two responses side by side and a field that says which is better: HelpSteer, PKU-SafeRLHF, votes."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rewardsmith.preferences.formats.base import (
    BadRow,
    Draft,
    Format,
    RowData,
    as_messages,
    having,
    number,
    optional_label,
    present,
    rest,
    text,
    user_turn,
)
from rewardsmith.preferences.formats.dialogues import as_response, fork, prompt_turns
from rewardsmith.preferences.formats.pairs import ANNOTATOR_FIELDS
from rewardsmith.preferences.record import GENERAL, Message, Response


class HelpSteer3(Format):
    """Wang et al. 2025, arXiv 2505.11475; -3 (first much better) to 3 (second much better), 0 is a tie."""

    name = "helpsteer3"
    description = "HelpSteer3 preference: context, response1, response2, overall_preference"
    fields = ("context", "response1", "response2", "overall_preference")

    def matches(self, rows: Sequence[RowData]) -> str | None:
        return "rows have 'context', two responses and 'overall_preference'" if having(rows, *self.fields) else None

    def parse(self, row: RowData) -> list[Draft]:
        prompt = prompt_turns(present(row, "context"), "context")
        responses: list[Response] = [text(row, "response1"), text(row, "response2")]
        scores, metadata = _scores_of_strength(row, "overall_preference"), rest(row, *self.fields, "id")
        return [Draft(prompt, responses, scores, metadata=metadata, id=optional_label(row, ["id"]))]


class HelpSteer2(Format):
    """Wang et al. 2024, arXiv 2410.01257; earlier turns stand in the prompt between `<extra_id_1>` marks."""

    name = "helpsteer2"
    description = "HelpSteer2 preference: prompt, response_1, response_2, preference_strength"
    fields = ("prompt", "response_1", "response_2", "preference_strength")

    def matches(self, rows: Sequence[RowData]) -> str | None:
        return "rows have 'prompt', two responses and 'preference_strength'" if having(rows, *self.fields) else None

    def parse(self, row: RowData) -> list[Draft]:
        first, *parts = re.split(r"\n?<extra_id_1>(User|Assistant)\n", text(row, "prompt"))
        prompt = user_turn(first)
        for role, content in zip(parts[::2], parts[1::2], strict=True):
            prompt.append(Message.model_validate({"role": role.lower(), "content": content}))
        responses: list[Response] = [text(row, "response_1"), text(row, "response_2")]
        scores, metadata = _scores_of_strength(row, "preference_strength"), rest(row, *self.fields, "id")
        return [Draft(prompt, responses, scores, metadata=metadata, id=optional_label(row, ["id"]))]


def _scores_of_strength(row: RowData, field: str) -> list[float]:
    strength = number(row, field)
    return [max(-strength, 0.0), max(strength, 0.0)]


class PkuSafeRlhf(Format):
    """Ji et al. 2024, arXiv 2406.15513, by helpfulness (`better_response_id`)."""

    name = "pku-saferlhf"
    description = "PKU-SafeRLHF by helpfulness: prompt, response_0, response_1, better_response_id"
    fields = ("prompt", "response_0", "response_1", "better_response_id")

    def matches(self, rows: Sequence[RowData]) -> str | None:
        if not having(rows, *self.fields):
            return None
        other = " ('pku-saferlhf-safer' reads by safety)" if having(rows, "safer_response_id") else ""
        return f"rows have 'prompt', two responses and '{self.fields[-1]}'{other}"

    def parse(self, row: RowData) -> list[Draft]:
        label = self.fields[-1]
        better = number(row, label)
        if better not in (0, 1):
            raise BadRow(label, f"must be 0 or 1, found {row[label]}")
        return [
            Draft(
                prompt=user_turn(text(row, "prompt")),
                responses=[text(row, "response_0"), text(row, "response_1")],
                scores=[1.0 - better, better],
                metadata=rest(row, *self.fields, "id"),
                id=optional_label(row, ["id"]),
            )
        ]


class PkuSafeRlhfSafer(PkuSafeRlhf):
    """The same data by harmlessness; detected only where there is no other label."""

    name = "pku-saferlhf-safer"
    description = "PKU-SafeRLHF by safety: prompt, response_0, response_1, safer_response_id"
    fields = ("prompt", "response_0", "response_1", "safer_response_id")

    def matches(self, rows: Sequence[RowData]) -> str | None:
        if not having(rows, *self.fields) or having(rows, "better_response_id"):
            return None
        return "rows have 'prompt', two responses and 'safer_response_id'"


_SCORES = {
    **dict.fromkeys(("model_a", "response_a", "a"), (1.0, 0.0)),
    **dict.fromkeys(("model_b", "response_b", "b"), (0.0, 1.0)),
    "tie": (1.0, 1.0),
    **dict.fromkeys(("tie (bothbad)", "both_bad", "bothbad"), (0.0, 0.0)),
}
"""A tie of two good answers scores both 1, of two bad ones both 0, so that the difference is not lost."""


class Arena(Format):
    """Chatbot Arena and MT-bench votes (Zheng et al. 2023, arXiv 2306.05685), and tables with a winner."""

    name = "arena"
    description = "votes: conversation_a/b, or context_a/b (or prompt) with response_a/b, and winner"
    fields = ("conversation_a", "conversation_b", "winner")

    def matches(self, rows: Sequence[RowData]) -> str | None:
        if having(rows, *self.fields):
            return "rows have 'winner' and two whole conversations"
        if having(rows, "response_a", "response_b", "winner"):
            return "rows have 'winner' and the responses a and b"
        return None

    def parse(self, row: RowData) -> list[Draft]:
        winner = text(row, "winner").strip().lower()
        if winner not in _SCORES:
            raise BadRow("winner", f"is {row['winner']!r}; known are model_a, model_b, tie and tie (bothbad)")
        prompt, responses = self._sides(row)
        names = [optional_label(row, [name]) for name in ("model_a", "model_b")]
        sides = [f"{stem}_{side}" for stem in ("conversation", "context", "response", "model") for side in "ab"]
        judges = ("judge_user", *ANNOTATOR_FIELDS, "judge")
        return [
            Draft(
                prompt=prompt,
                responses=responses,
                scores=list(_SCORES[winner]),
                domain=optional_label(row, ["domain"]) or GENERAL,
                annotator=optional_label(row, judges),
                response_names=[str(name) for name in names] if all(names) else None,
                metadata=rest(row, *sides, *judges, "prompt", "domain", "id"),
                id=optional_label(row, ["id"]),
            )
        ]

    def _sides(self, row: RowData) -> tuple[list[Message], list[Response]]:
        if row.get("conversation_a") is not None:
            both = [as_messages(present(row, name), name) for name in self.fields[:2]]
            return fork(both, "conversation_b")
        answers = [_answer(row, name) for name in ("response_a", "response_b")]
        if row.get("context_a") is None:
            return prompt_turns(present(row, "prompt"), "prompt"), [as_response(turns) for turns in answers]
        contexts = [as_messages(present(row, name), name) for name in ("context_a", "context_b")]
        return fork([context + answer for context, answer in zip(contexts, answers, strict=True)], "context_b")


def _answer(row: RowData, field: str) -> list[Message]:
    value = present(row, field)
    if isinstance(value, list):
        return as_messages(value, field)
    return [Message(role="assistant", content=text(row, field))]
