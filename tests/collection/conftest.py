"""What the tests of collection share: a server to ask, answers in their places, tiny local models and requests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rewardsmith.collection.domains import DomainProfile
from rewardsmith.collection.filters import Given
from rewardsmith.collection.generation.local import LocalModel
from rewardsmith.collection.plan import Slot
from rewardsmith.collection.queries import Query
from rewardsmith.collection.requests import Answer, Request, Sampling
from rewardsmith.preferences.record import Message

_SYSTEM = "What is a reward model? A model that gives a number to a response, higher for a better one. Be kind."
_QUESTIONS = ["Why?", "How do I bake bread?", "Is the sky red?", "Mix flour, water, salt and yeast, let it rise " * 2]


@pytest.fixture(scope="session")
def requests_of() -> Callable[..., list[Request]]:
    """Makes requests: `requests_of(12, temperature=0)`; the rest is their sampling."""

    def make(count: int, **sampling: float) -> list[Request]:
        return [
            Request(
                key=f"r{k}",
                messages=(
                    Message(role="system", content=f"{k % 2} {_SYSTEM}"),
                    Message(role="user", content=f"{k} {_QUESTIONS[k % len(_QUESTIONS)]}"),
                ),
                sampling=Sampling.model_validate({"max_tokens": 6 + k % 9} | sampling),
                seed=k,
            )
            for k in range(count)
        ]

    return make


@pytest.fixture
def local(make_backbone: Callable[..., Path]) -> Callable[..., LocalModel]:
    """A tiny model by architecture, in float32: `local("llama", batch_tokens=600)`."""

    def make(name: str, batch_tokens: int = 2000) -> LocalModel:
        folder = make_backbone(name, settings={"max_position_embeddings": 512})
        return LocalModel(str(folder), batch_tokens=batch_tokens, precision="float32")

    return make


@pytest.fixture
def given() -> Callable[..., Given]:
    """An answer in its place: `given("query", "answer", domain="academy", words=(5, 20))`."""

    def make(
        query: str,
        text: str,
        *,
        domain: str = "academy",
        words: tuple[int, int] | None = None,
        finish: str = "stop",
        sample: int = 1,
    ) -> Given:
        profile = DomainProfile(name=domain, title="t", system=f"Be {domain}.", words=words)
        slot = Slot(Query("q", (Message(role="user", content=query),)), profile, sample)
        return Given(slot, Answer(text, finish, 1, 1))

    return make
