"""The preference record: one prompt, two or more responses, a score for each.

The same model is the on-disk schema (one JSON object a line). It knows nothing of files, formats or models.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

PLAIN = "normal"
"""Name of the response given without any domain's system prompt (the key that the DSP data use)."""

GENERAL = "general"
"""Domain of preferences that belong to nobody in particular."""


class Message(BaseModel):
    """One turn of a dialogue."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    role: Literal["system", "user", "assistant", "tool"]
    content: str


Response = str | list[Message]
"""The last assistant turn as text, or several messages where dialogues fork before their last turn."""


class Preference(BaseModel):
    """One prompt, r >= 2 responses and their scores: higher is preferred, equal scores are ties and rank nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    prompt: Annotated[list[Message], Field(min_length=1)]
    responses: Annotated[list[Response], Field(min_length=2)]
    scores: list[float]
    domain: str = GENERAL
    annotator: str | None = None
    source: str | None = None
    response_names: list[str] | None = Field(
        default=None, description="Who gave each response: a domain or a model; `normal` is the plain answer."
    )
    margin: float | None = Field(default=None, description="Reward margin asked of every pair of this record.")
    metadata: dict[str, Any] = Field(default_factory=dict, description="What the source had besides; kept, never used.")

    @field_validator("scores")
    @classmethod
    def _finite(cls, scores: list[float]) -> list[float]:
        if not all(math.isfinite(s) for s in scores):
            raise ValueError("scores must be finite numbers")
        return scores

    @model_validator(mode="after")
    def _lengths(self) -> Preference:
        if len(self.scores) != len(self.responses):
            raise ValueError(f"{len(self.responses)} responses but {len(self.scores)} scores")
        if self.response_names is not None and len(self.response_names) != len(self.responses):
            raise ValueError(f"{len(self.responses)} responses but {len(self.response_names)} response_names")
        return self

    def pairs(self) -> list[tuple[int, int]]:
        """Index pairs (i, j) with score i above score j and different text: what this record ranks.

        Identical responses can never be told apart, so their pair ranks nothing although the scores differ.
        """
        scores, responses, r = self.scores, self.responses, range(len(self.responses))
        return [(i, j) for i in r for j in r if scores[i] > scores[j] and responses[i] != responses[j]]

    def first_user_turn(self) -> str:
        """The text that splits go by: the first user message (the first message when there is none)."""
        return next((m.content for m in self.prompt if m.role == "user"), self.prompt[0].content)

    def prompt_key(self) -> str:
        """The normalised first user turn: lower case, white space folded. Equal keys are the same prompt for splits
        and for clustered statistics."""
        return " ".join(self.first_user_turn().lower().split())


def response_text(response: Response) -> str:
    """A response as plain text, for statistics over words; a forked dialogue is its messages joined by newlines."""
    return response if isinstance(response, str) else "\n".join(m.content for m in response)


def response_messages(response: Response) -> list[Message]:
    """A response as the messages that follow the prompt."""
    return [Message(role="assistant", content=response)] if isinstance(response, str) else list(response)


def content_hash(*parts: object) -> str:
    """A short stable hash of JSON-like values, used for ids and fingerprints."""
    text = json.dumps(parts, ensure_ascii=False, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump()
    raise TypeError(f"cannot hash {type(value).__name__}")
