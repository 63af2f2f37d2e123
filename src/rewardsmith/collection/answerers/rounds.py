"""Asks a server for all owed requests: many at once, with retries, a rate, a limit of cost, and every attempt noted.

It knows the journal and what a `Server` raises; it does not know what is asked or what answers are good for.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from rewardsmith.collection.answerers.base import Outcome
from rewardsmith.collection.answerers.pricing import Price, most_it_can_cost
from rewardsmith.collection.answerers.server import Server, Trouble
from rewardsmith.collection.journal import Attempt, Journal
from rewardsmith.collection.requests import Answer, Request

LONGEST_WAIT = 60.0
"""Seconds that a retry waits at most by itself; a server's Retry-After may be longer."""


@dataclass(frozen=True)
class Manners:
    """How to ask: none of these changes an answer."""

    concurrency: int = 8
    rate: float | None = None
    """Requests a minute."""
    max_cost: float | None = None
    """Dollars for the whole collection, over all starts."""
    retries: int = 5
    first_wait: float = 1.0
    """Seconds before the first retry; each further one waits twice as long, with jitter."""

    def pause(self, tried: int, retry_after: float | None) -> float:
        """Seconds to wait after the attempt number `tried` (from 0) failed: what the server says, or else our own."""
        if retry_after is not None:
            return retry_after
        longest = min(LONGEST_WAIT, self.first_wait * 2**tried)
        return random.uniform(longest / 2, longest)  # jitter: or all come back at once


def ask_server(
    server: Server,
    owed: Iterable[Request],
    journal: Journal,
    manners: Manners,
    price: Price,
    tell: Callable[[Answer], None],
) -> Outcome:
    """Asks for every owed request and notes what comes; `tell` is called for each answer that is durable."""
    return asyncio.run(_Round(server, iter(owed), journal, manners, price, tell).run())


class _Round:
    """One round of asking: workers that share the journal, the clock and the purse."""

    def __init__(
        self,
        server: Server,
        owed: Iterator[Request],
        journal: Journal,
        manners: Manners,
        price: Price,
        tell: Callable[[Answer], None],
    ) -> None:
        self._server, self._owed, self._manners, self._price, self._tell = server, owed, manners, price, tell
        self._ledger = _Ledger(journal)
        self._journal = journal
        self._outcome = Outcome()
        self._spent = journal.spent().cost
        self._reserved = 0.0
        self._not_before = 0.0
        self._pace = _Pace(manners.rate)

    async def run(self) -> Outcome:
        """Runs the workers until nothing is owed or something stops them."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._manners.concurrency):
                    group.create_task(self._work())
        except* Exception as failures:
            # All workers fail alike where the journal cannot be written: the first says it.
            raise failures.exceptions[0] from None
        finally:
            await self._server.close()
        return self._outcome

    async def _work(self) -> None:
        while self._outcome.stopped is None:
            request = next(self._owed, None)
            if request is None:
                return
            most = most_it_can_cost(request, self._price)
            if not self._can_pay(most):
                return
            self._reserved += most
            try:
                await self._ledger.begin(request.key, most)
                await self._ask(request, most)
            finally:
                self._reserved -= most

    async def _ask(self, request: Request, most: float) -> None:
        for tried in range(self._manners.retries + 1):
            await self._wait_turn()
            if self._outcome.stopped is not None or not self._can_pay(0.0):
                self._journal.release([request.key])
                return
            begun = time.monotonic()
            try:
                answer = await self._server.complete(request)
            except Trouble as trouble:
                again = trouble.then == "again" and tried < self._manners.retries
                cost = most if trouble.billed else 0.0
                self._spent += cost
                seconds = time.monotonic() - begun
                self._journal.fail(
                    request.key, Attempt(trouble.kind, seconds, cost=cost, detail=trouble.detail), again=again
                )
                if not again:
                    self._give_up(request, trouble)
                    return
                await self._back_off(tried, trouble)
            else:
                cost = self._price.of(answer.prompt_tokens, answer.completion_tokens)
                self._spent += cost
                spent = Attempt(
                    "answered", time.monotonic() - begun, answer.prompt_tokens, answer.completion_tokens, cost
                )
                await self._ledger.answer(request.key, answer, spent)
                self._outcome.answered += 1
                self._tell(answer)
                return

    def _can_pay(self, more: float) -> bool:
        """Whether what is spent and reserved leaves room; asking stops where it does not."""
        limit = self._manners.max_cost
        if limit is None or self._spent + self._reserved + more <= limit:
            return True
        self._stop(
            "cost", f"{self._spent:.4f} dollars are spent, and the next request could pass the {limit:g} allowed"
        )
        return False

    def _give_up(self, request: Request, trouble: Trouble) -> None:
        if trouble.then == "stop":
            self._stop(trouble.kind, trouble.detail)
        else:
            self._outcome.failed[request.key] = f"{trouble.kind}: {trouble.detail}"

    def _stop(self, kind: str, reason: str) -> None:
        if self._outcome.stopped is None:
            self._outcome.stopped, self._outcome.stop_kind = reason, kind

    async def _back_off(self, tried: int, trouble: Trouble) -> None:
        if trouble.retry_after is not None and trouble.kind == "429":  # the server means everyone
            self._not_before = max(self._not_before, time.monotonic() + trouble.retry_after)
        await asyncio.sleep(self._manners.pause(tried, trouble.retry_after))

    async def _wait_turn(self) -> None:
        while (wait := self._not_before - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        await self._pace.wait()


class _Pace:
    """Lets requests pass at a rate, evenly."""

    def __init__(self, per_minute: float | None) -> None:
        self._gap = 60.0 / per_minute if per_minute else 0.0
        self._next = 0.0

    async def wait(self) -> None:
        """Waits for the next free moment."""
        now = time.monotonic()
        mine = max(now, self._next)
        self._next = mine + self._gap
        if mine > now:
            await asyncio.sleep(mine - now)


class _Ledger:
    """Commits what happens within one turn of the event loop together: one synchronised write for many requests."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._begun: list[tuple[str, float]] = []
        self._answered: list[tuple[str, Answer, Attempt]] = []
        self._done: asyncio.Future[None] | None = None

    async def begin(self, key: str, most: float) -> None:
        """Returns when the request is durably in flight; `most` is what it can cost."""
        self._begun.append((key, most))
        await self._committed()

    async def answer(self, key: str, answer: Answer, attempt: Attempt) -> None:
        """Returns when the answer is durable."""
        self._answered.append((key, answer, attempt))
        await self._committed()

    async def _committed(self) -> None:
        if self._done is None:
            loop = asyncio.get_running_loop()
            self._done = loop.create_future()
            loop.call_soon(self._commit)
        await asyncio.shield(self._done)

    def _commit(self) -> None:
        done, self._done = self._done, None
        begun, answered = self._begun, self._answered
        self._begun, self._answered = [], []
        assert done is not None
        try:
            if begun:
                self._journal.begin(begun)
            if answered:
                self._journal.answer(answered)
        except Exception as error:
            done.set_exception(error)
        else:
            done.set_result(None)
