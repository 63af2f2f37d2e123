"""What is asked and what comes back: one request for each query, domain and sample.

It knows nothing of who answers (a server or a local model) nor of where answers are kept (the journal).
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from rewardsmith.preferences.record import Message


class Sampling(BaseModel):
    """How tokens are drawn."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: float = Field(default=0.8, ge=0, le=2, description="0 takes the likeliest token each time.")
    top_p: float = Field(default=0.95, gt=0, le=1, description="Tokens that make up this share of the probability.")
    max_tokens: int = Field(default=300, ge=1, description="An answer longer than this is cut off, and counted as cut.")


@dataclass(frozen=True)
class Request:
    """One question to the model. `seed` makes the answer of a local model its own, whatever it is batched with."""

    key: str
    messages: tuple[Message, ...]
    sampling: Sampling
    seed: int


@dataclass(frozen=True)
class Answer:
    """What came back, as it came. `finish_reason` is the server's word: `stop`, `length`, `content_filter`."""

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
