"""Asking through a provider's batch API: slower, and as a rule at half the price.

A batch that was taken is noted in the journal at once, so that a new start waits for it and asks nothing again. The
protocol is OpenAI's: a JSONL file of requests goes up, a batch is made of it, a JSONL file of answers comes down.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from rewardsmith.collection.answerers.base import Outcome
from rewardsmith.collection.answerers.one_by_one import ServerAnswerer
from rewardsmith.collection.answerers.pricing import FREE, most_it_can_cost
from rewardsmith.collection.answerers.server import Trouble
from rewardsmith.collection.journal import Attempt, Journal
from rewardsmith.collection.requests import Answer, Request
from rewardsmith.preferences.record import content_hash

MOST_IN_A_BATCH = 10_000
DISCOUNT = 0.5
"""What a batch costs, as a share of the same requests asked one by one."""
_OVER = ("completed", "failed", "expired", "cancelled")


class BatchAnswerer(ServerAnswerer):
    """A server, through its batch API."""

    poll_seconds = 20.0

    def ask(self, owed: Sequence[Request], journal: Journal, tell: Callable[[Answer], None]) -> Outcome:
        return asyncio.run(self._ask(list(owed), journal, tell))

    def price(self, prompt_tokens: float, completion_tokens: float) -> float | None:
        full = super().price(prompt_tokens, completion_tokens)
        return None if full is None else DISCOUNT * full

    def seconds(self, prompt_tokens: float, completion_tokens: float) -> tuple[float, str]:
        return 24 * 3600.0, "the provider answers a batch within a day"

    async def _ask(self, owed: list[Request], journal: Journal, tell: Callable[[Answer], None]) -> Outcome:
        outcome = Outcome()
        try:
            submitted = {key for keys in journal.open_batches().values() for key in keys.values()}
            fresh = [request for request in owed if request.key not in submitted]
            for start in range(0, len(fresh), MOST_IN_A_BATCH):
                await self._submit(fresh[start : start + MOST_IN_A_BATCH], journal)
            for batch, keys in journal.open_batches().items():
                await self._fetch(batch, keys, journal, tell, outcome)
        except Trouble as trouble:
            outcome.stopped, outcome.stop_kind = trouble.detail, trouble.kind
        finally:
            await self._server.close()
        return outcome

    async def _submit(self, requests: list[Request], journal: Journal) -> None:
        most = sum(DISCOUNT * most_it_can_cost(r, self._price or FREE) for r in requests)
        limit, spent = self._manners.max_cost, journal.spent().cost
        if limit is not None and spent + most > limit:
            raise Trouble(
                "cost", "stop", f"{spent:.4f} dollars are spent, and the batch could pass the {limit:g} allowed"
            )
        names = {content_hash(request.key): request.key for request in requests}  # ids in a batch must be short
        lines = [
            {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": self._server.body(request)}
            for name, request in zip(names, requests, strict=True)
        ]
        content = "".join(json.dumps(line) + "\n" for line in lines).encode()
        client = self._server.client
        file = await self._retried(lambda: client.files.create(file=("requests.jsonl", content), purpose="batch"))
        # In flight before the provider has it: killed in between, nobody knows whether it took the batch.
        journal.begin([(r.key, DISCOUNT * most_it_can_cost(r, self._price or FREE)) for r in requests])
        try:
            batch = await self._retried(
                lambda: client.batches.create(
                    input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
                )
            )
        except Trouble:
            journal.release([r.key for r in requests])
            raise
        journal.submit(str(batch.id), names)

    async def _fetch(
        self, batch_id: str, keys: dict[str, str], journal: Journal, tell: Callable[[Answer], None], outcome: Outcome
    ) -> None:
        client, begun = self._server.client, time.monotonic()
        batch = await self._retried(lambda: client.batches.retrieve(batch_id))
        while batch.status not in _OVER:
            await asyncio.sleep(self.poll_seconds)
            batch = await self._retried(lambda: client.batches.retrieve(batch_id))
        answered = set()
        for file_id in filter(None, (batch.output_file_id, batch.error_file_id)):
            content = await self._retried(lambda file_id=file_id: client.files.content(file_id))  # type: ignore[misc]
            for line in content.text.splitlines():
                row = json.loads(line)
                key = keys.get(row.get("custom_id"))
                if key is not None and self._note(key, row, journal, time.monotonic() - begun, tell, outcome):
                    answered.add(key)
        journal.end_batch(batch_id)
        for key in set(keys.values()) - answered - set(outcome.failed):
            outcome.failed[key] = f"batch {batch.status}: it gave no answer to this"

    def _note(
        self,
        key: str,
        row: dict[str, Any],
        journal: Journal,
        seconds: float,
        tell: Callable[[Answer], None],
        outcome: Outcome,
    ) -> bool:
        """Writes one line of a batch's answers into the journal; says whether it was an answer."""
        from openai.types.chat import ChatCompletion

        reply = row.get("response") or {}
        try:
            if reply.get("status_code") != 200:
                said = row.get("error") or (reply.get("body") or {}).get("error") or {}
                raise Trouble(str(reply.get("status_code")), "leave", str(said.get("message", "no reason given"))[:300])
            answer = self._server.read(ChatCompletion.construct(**reply["body"]))
        except Trouble as trouble:
            journal.fail(key, Attempt(trouble.kind, seconds, detail=trouble.detail), again=False)
            outcome.failed[key] = f"{trouble.kind}: {trouble.detail}"
            return False
        cost = self.price(answer.prompt_tokens, answer.completion_tokens) or 0.0
        spent = Attempt("answered", seconds, answer.prompt_tokens, answer.completion_tokens, cost)
        journal.answer([(key, answer, spent)])
        outcome.answered += 1
        tell(answer)
        return True

    async def _retried(self, call: Callable[[], Any]) -> Any:
        """A call of the batch API, tried again where that helps."""
        for tried in range(self._manners.retries + 1):
            try:
                return await self._server.guarded(call)
            except Trouble as trouble:
                if trouble.then != "again" or tried == self._manners.retries:
                    raise
                await asyncio.sleep(self._manners.pause(tried, trouble.retry_after))
