"""The answerer for a model's name, and the one for a model on this machine (servers: `one_by_one`, `batches`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rewardsmith.collection.answerers.base import LOCAL, Answerer, Outcome
from rewardsmith.collection.answerers.batches import BatchAnswerer
from rewardsmith.collection.answerers.one_by_one import ServerAnswerer
from rewardsmith.collection.answerers.pricing import FREE, estimated_prompt_tokens, load_prices
from rewardsmith.collection.answerers.rounds import Manners
from rewardsmith.collection.answerers.server import Server, is_local
from rewardsmith.collection.journal import Attempt, Journal
from rewardsmith.collection.requests import Answer, Request
from rewardsmith.errors import UserError

LOCAL_TOKENS = 400.0
"""Tokens a second of the embedded model on two cores, about (600 in bfloat16 where nothing else runs)."""


class LocalAnswerer:
    """A model of this machine; it is loaded when it is first asked."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def model(self) -> str:
        return LOCAL + self._name

    def ask(self, owed: Sequence[Request], journal: Journal, tell: Callable[[Answer], None]) -> Outcome:
        # Nothing is ever in flight: an answer that is not in the journal when this process dies was never given.
        from rewardsmith.collection.generation.local import LocalModel

        outcome = Outcome()
        model = LocalModel(self._name)
        refused = model.refusals(owed)
        for key, reason in refused.items():
            journal.fail(key, Attempt("refused", 0.0, detail=reason), again=False)
            outcome.failed[key] = reason
        before = time.monotonic()
        for request, answer in model.answers([r for r in owed if r.key not in refused]):
            now = time.monotonic()
            spent = Attempt("answered", now - before, answer.prompt_tokens, answer.completion_tokens)
            journal.answer([(request.key, answer, spent)])
            before = now
            outcome.answered += 1
            tell(answer)
        return outcome

    def price(self, prompt_tokens: float, completion_tokens: float) -> float | None:
        return 0.0

    def seconds(self, prompt_tokens: float, completion_tokens: float) -> tuple[float, str]:
        return (
            completion_tokens / LOCAL_TOKENS,
            f"at {LOCAL_TOKENS:g} tokens/s, about what two cores give with the embedded model",
        )

    def prompt_tokens(self, requests: Sequence[Request]) -> float:
        return sum(map(estimated_prompt_tokens, requests))


def make_answerer(
    model: str,
    base_url: str | None,
    manners: Manners,
    prices: Path | None,
    *,
    batch: bool = False,
    timeout: float = 120.0,
    check: bool = True,
) -> Answerer:
    """The answerer for a model's name; with `check` a server is asked first whether it is there and knows the model.

    Raises:
        UserError: no server there, a wrong key, no price where one is needed, a local folder that is none.
        RewardsmithError: the server has no such model.
    """
    if model.startswith(LOCAL):
        name = model.removeprefix(LOCAL)
        if batch or base_url:
            raise UserError(f"{model} runs on this machine: leave out --batch and --base-url")
        if not name or (name.startswith((".", "/", "~")) and not Path(name).expanduser().is_dir()):
            raise UserError(f"--model {model}: there is no folder '{name}'; local:embedded needs none")
        return LocalAnswerer(name)
    known = load_prices(prices)
    server = Server(base_url, model, timeout=timeout)
    price = known.get(model) or (FREE if is_local(server.base_url) else None)
    answerer = (BatchAnswerer if batch else ServerAnswerer)(server, manners, price)
    if check:
        server.check()
    return answerer
