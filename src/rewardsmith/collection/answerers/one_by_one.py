"""A server asked request by request, many at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rewardsmith.collection.answerers.base import Outcome
from rewardsmith.collection.answerers.pricing import FREE, Price, estimated_prompt_tokens
from rewardsmith.collection.answerers.rounds import Manners, ask_server
from rewardsmith.collection.answerers.server import Server
from rewardsmith.collection.journal import Journal
from rewardsmith.collection.requests import Answer, Request
from rewardsmith.errors import UserError

TOKENS_PER_STREAM = 40.0
"""Tokens a second that a server gives each request, where nothing was measured."""


class ServerAnswerer:
    """A server, many requests at once."""

    def __init__(self, server: Server, manners: Manners, price: Price | None) -> None:
        """Raises UserError where a limit of cost is set and nobody said what tokens cost."""
        if manners.max_cost is not None and price is None:
            raise UserError(
                f"--max-cost needs the price of '{server.model}': add it to a copy of the price file, and name that "
                "with --prices"
            )
        self._server, self._manners, self._price = server, manners, price

    @property
    def model(self) -> str:
        return self._server.model

    def ask(self, owed: Sequence[Request], journal: Journal, tell: Callable[[Answer], None]) -> Outcome:
        return ask_server(self._server, owed, journal, self._manners, self._price or FREE, tell)

    def price(self, prompt_tokens: float, completion_tokens: float) -> float | None:
        return None if self._price is None else self._price.of(prompt_tokens, completion_tokens)

    def seconds(self, prompt_tokens: float, completion_tokens: float) -> tuple[float, str]:
        rate = TOKENS_PER_STREAM * self._manners.concurrency
        return completion_tokens / rate, f"at {TOKENS_PER_STREAM:g} tokens/s for each of {self._manners.concurrency}"

    def prompt_tokens(self, requests: Sequence[Request]) -> float:
        return sum(map(estimated_prompt_tokens, requests))
