"""Who answers: a server asked one by one, a server's batches, or a local model. One interface for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from rewardsmith.collection.journal import Journal
from rewardsmith.collection.requests import Answer, Request

LOCAL = "local:"
"""Models that begin so are run here: `local:embedded`, `local:PATH`."""


@dataclass
class Outcome:
    """What came of a round of asking."""

    answered: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    """Requests that stay owed after their last retry, and why."""
    stopped: str | None = None
    """Why nothing more was asked, where asking ended early."""
    stop_kind: str | None = None
    """The kind of trouble that stopped it, or `cost`."""

    @property
    def whole(self) -> bool:
        """Whether everything that was owed has its answer."""
        return not self.failed and self.stopped is None


class Answerer(Protocol):
    """Asks requests and writes what comes of them into the journal."""

    @property
    def model(self) -> str:
        """Name of the model, as the fingerprint has it."""

    def ask(self, owed: Sequence[Request], journal: Journal, tell: Callable[[Answer], None]) -> Outcome:
        """Asks all; `tell` is called for each answer once it is durable."""

    def price(self, prompt_tokens: float, completion_tokens: float) -> float | None:
        """Dollars for so many tokens; None where nobody said what they cost."""

    def seconds(self, prompt_tokens: float, completion_tokens: float) -> tuple[float, str]:
        """About how long so many tokens take, and on which assumption."""

    def prompt_tokens(self, requests: Sequence[Request]) -> float:
        """How many tokens the prompts are, counted or about."""
