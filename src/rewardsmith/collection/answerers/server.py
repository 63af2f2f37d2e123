"""Asking an OpenAI-compatible server (vLLM, Ollama, llama.cpp, TGI, OpenAI itself) one request at a time.

Every failure becomes a `Trouble` that says whether to try again, to leave this request, or to stop altogether. The
client's own retries are off: an attempt that nobody noted would be an attempt that nobody counted. Keys stay in memory;
what a server says about one is not repeated.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import urlparse

from rewardsmith.collection.requests import Answer, Request
from rewardsmith.errors import RewardsmithError, UserError, nearest

if TYPE_CHECKING:
    from openai import AsyncOpenAI

T = TypeVar("T")
KEY_VARIABLE = "OPENAI_API_KEY"
OPENAI = "https://api.openai.com/v1"
_NO_KEY = "none"
"""Sent where there is no key: servers of one's own want none, but the client does."""

Then = Literal["again", "leave", "stop"]


class Trouble(Exception):
    """An attempt that gave no answer. `billed` says that the server may have answered all the same."""

    def __init__(
        self, kind: str, then: Then, detail: str, *, retry_after: float | None = None, billed: bool = False
    ) -> None:
        super().__init__(detail)
        self.kind, self.then, self.detail = kind, then, detail
        self.retry_after, self.billed = retry_after, billed


class Server:
    """One server and one of its models."""

    def __init__(self, base_url: str | None, model: str, *, timeout: float = 120.0) -> None:
        """Raises UserError where the `openai` package is missing, or OpenAI itself is asked without a key."""
        try:
            import openai
        except ImportError as error:
            raise UserError(
                "asking a server needs the openai package: pip install 'rewardsmith[collect]'; or name a local model, "
                "--model local:embedded"
            ) from error
        self.base_url = base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI
        self.model = model
        self._key = os.environ.get(KEY_VARIABLE, "").strip()
        if not self._key and urlparse(self.base_url).hostname == urlparse(OPENAI).hostname:
            raise UserError(f"{self.base_url} wants a key: set {KEY_VARIABLE}, or name another server with --base-url")
        self._timeout = timeout
        self._client: AsyncOpenAI | None = None
        self._length_word = "max_tokens"
        self._openai = openai

    @property
    def client(self) -> AsyncOpenAI:
        """The client; it belongs to the event loop that is running when it is first used."""
        if self._client is None:
            self._client = self._openai.AsyncOpenAI(
                base_url=self.base_url, api_key=self._key or _NO_KEY, max_retries=0, timeout=self._timeout
            )
        return self._client

    async def close(self) -> None:
        """Closes the connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    def check(self) -> None:
        """Asks the server for its models, so that a wrong address, key or name is said before anything is made.

        Raises:
            UserError: nobody answers there, or the key is wrong.
            RewardsmithError: it has no such model.
        """
        asyncio.run(self._check())

    async def _check(self) -> None:
        try:
            page = await self.guarded(self.client.models.list)
            names = [str(model.id) for model in page.data or []]
        except Trouble as trouble:
            if trouble.kind in ("connection", "time-out"):
                raise UserError(
                    f"{self.base_url} does not answer ({trouble.detail}); is the server running, is --base-url right?"
                ) from trouble
            if trouble.kind == "key":
                raise UserError(trouble.detail) from trouble
            return  # some servers list no models; the first request will tell
        finally:
            await self.close()
        if names and self.model not in names:
            raise RewardsmithError(
                f"{self.base_url} has no model '{self.model}'{nearest(self.model, names)}; it has "
                + ", ".join(names[:10])
            )

    async def complete(self, request: Request) -> Answer:
        """Asks once. Raises Trouble."""
        return self.read(await self.guarded(lambda: self.client.chat.completions.create(**self.body(request))))

    def body(self, request: Request) -> dict[str, Any]:
        """The request as the protocol has it."""
        return {
            "model": self.model,
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
            "temperature": request.sampling.temperature,
            "top_p": request.sampling.top_p,
            "seed": request.seed,
            self._length_word: request.sampling.max_tokens,
        }

    def read(self, completion: Any) -> Answer:
        """The answer in a completion. Raises Trouble where there is none: a torn body is no empty answer."""
        choices = getattr(completion, "choices", None)
        message = getattr(choices[0], "message", None) if choices else None
        if choices is None or message is None:
            raise Trouble("torn body", "again", "the reply holds no choices", billed=True)
        text = message.content if isinstance(message.content, str) else getattr(message, "refusal", None)
        reason = getattr(choices[0], "finish_reason", None) or "unknown"
        if text is None and reason != "content_filter":
            raise Trouble("torn body", "again", "the reply holds no text", billed=True)
        usage = getattr(completion, "usage", None)
        return Answer(
            text or "",
            str(reason),
            int(getattr(usage, "prompt_tokens", 0) or 0),
            int(getattr(usage, "completion_tokens", 0) or 0),
        )

    async def guarded(self, call: Callable[[], Awaitable[T]]) -> T:
        """Awaits a call of the client and turns whatever goes wrong into Trouble."""
        o = self._openai
        try:
            return await call()
        except o.APITimeoutError as error:
            raise Trouble("time-out", "again", f"no reply within {self._timeout:g} s", billed=True) from error
        except o.APIConnectionError as error:
            raise Trouble("connection", "again", self._clean(_cause(error)), billed=True) from error
        except o.APIStatusError as error:
            raise self._trouble_of(error) from error
        except (o.APIResponseValidationError, json.JSONDecodeError, UnicodeDecodeError) as error:
            raise Trouble("torn body", "again", self._clean(str(error)), billed=True) from error
        except o.OpenAIError as error:
            raise Trouble("client", "leave", self._clean(str(error))) from error

    def _trouble_of(self, error: Any) -> Trouble:
        status, said = error.status_code, self._clean(str(error.message))
        if status in (401, 403):
            return Trouble(
                "key", "stop", f"{self.base_url} refuses the key in {KEY_VARIABLE} ({status}); set a valid one"
            )
        if status == 404:
            return Trouble("model", "stop", f"{self.base_url} has no model '{self.model}', or is no such server (404)")
        if status == 429 and error.code == "insufficient_quota":
            return Trouble(
                "quota", "stop", f"{self.base_url}: the account's quota is used up; nothing is lost, go on later"
            )
        if status == 429 or status == 408 or status == 409 or status >= 500:
            return Trouble(str(status), "again", said, retry_after=_retry_after(error.response.headers))
        if status == 400 and self._length_word == "max_tokens" and "max_completion_tokens" in said:
            self._length_word = "max_completion_tokens"  # the newer name, which some models insist on
            return Trouble("400", "again", said, retry_after=0.0)
        return Trouble(str(status), "leave", said)

    def _clean(self, text: str) -> str:
        """Text that may be kept: without the key, and short."""
        if self._key:
            text = text.replace(self._key, "[key]")
        return " ".join(text.split())[:300]


def address_warning(base_url: str) -> str | None:
    """A warning where queries and key would travel unencrypted to another machine."""
    if urlparse(base_url).scheme == "https" or is_local(base_url):
        return None
    return f"{base_url} is neither HTTPS nor this machine: queries, answers and the key travel unencrypted"


def is_local(base_url: str) -> bool:
    """Whether a server is this machine's own, which costs nothing unless the price file says so."""
    host = urlparse(base_url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def _retry_after(headers: Any) -> float | None:
    """Seconds that the server asks to wait: a number, or a date (RFC 9110, section 10.2.3)."""
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        from datetime import UTC, datetime
        from email.utils import parsedate_to_datetime

        try:
            return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
        except (TypeError, ValueError):
            return None


def _cause(error: BaseException) -> str:
    """The innermost reason: the client's own message only says that the connection failed."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error) or type(error).__name__
