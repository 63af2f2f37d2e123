"""A local language model that answers requests: text in, text out, many at once.

An answer is drawn from its own request alone (messages, sampling, seed), whatever it is batched with. In float32 the
same request gives the same answer; in bfloat16 the rounding of a batch of another size is enough to draw another token,
so a sampled answer is as good but not the same again. How rows are run is the business of `writing.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, cast

import torch
from transformers import PreTrainedModel

from rewardsmith.batching.tokenizing import context_limit
from rewardsmith.collection.generation.prefixes import shared_beginnings
from rewardsmith.collection.generation.slot_check import use_slots
from rewardsmith.collection.generation.writing import Prompt, Writing
from rewardsmith.collection.requests import Answer, Request
from rewardsmith.errors import DataError, ModelError
from rewardsmith.modeling.backbone import load_config, load_language_model, load_tokenizer, resolve
from rewardsmith.modeling.spec import Precision

DEFAULT_BATCH_TOKENS = 32_768
"""Prompt and answer tokens kept at once: with SmolLM2-135M in bfloat16, 23 KB each, 0.75 GB."""


class LocalModel:
    """A causal language model with a chat template. Its weights are loaded when it is first asked.

    Example:
        >>> model = LocalModel("embedded")     # doctest: +SKIP
        >>> for request, answer in model.answers(requests):     # doctest: +SKIP
        ...     print(request.key, answer.text)

    Args:
        name: `embedded`, a folder, or a hub name.
        batch_tokens: prompt and answer tokens kept at once; bounds the memory.
        precision: of the weights; by default what the machine computes fastest (`native_precision`). float32 gives the
            same answers again.

    Raises:
        ModelError: there is no such model, or it has no chat template.
    """

    def __init__(
        self, name: str, *, batch_tokens: int = DEFAULT_BATCH_TOKENS, precision: Precision | None = None
    ) -> None:
        self.name, self.batch_tokens = name, batch_tokens
        self.precision: Precision = precision or native_precision()
        self.folder = resolve(name)
        self.config = load_config(self.folder)
        self.tokenizer = load_tokenizer(self.folder)
        if not self.tokenizer.chat_template:
            raise ModelError(f"{name!r} has no chat template, so it cannot be asked; name an instruction-tuned model")
        positions = getattr(self.config.get_text_config(), "max_position_embeddings", None)
        self.context = context_limit(self.tokenizer, positions)

    def answers(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Answer]]:
        """Each request with its answer as soon as that is complete, in any order.

        Raises:
            DataError: the chat template refuses a request, or its prompt leaves no room for an answer.
            ModelError: the model cannot be loaded, or is of an architecture that cannot be run here.
        """
        prompts = self._prompts(requests)
        network = self.network
        return self._answers(requests, prompts, Writing(network, self.stops, self.batch_tokens))

    def refusals(self, requests: Sequence[Request]) -> dict[str, str]:
        """Requests that `answers` would not take, by key, and why: one too long a query need not stop the others."""
        found = {}
        for request in requests:
            try:
                self._prompts([request])
            except DataError as error:
                found[request.key] = str(error)
        return found

    def count_prompt_tokens(self, requests: Sequence[Request]) -> list[int]:
        """Tokens of each request's prompt as the model reads it; loads no weights.

        Raises:
            DataError: the chat template refuses a request.
        """
        return [len(ids) for ids in self._tokenise(requests)]

    @cached_property
    def network(self) -> PreTrainedModel:
        """The language model, its attention routed through our slots."""
        network = load_language_model(self.folder, self.config, self.precision)
        network.train(False)
        device: Any = "cuda" if torch.cuda.is_available() else "cpu"
        network = cast(PreTrainedModel, network.to(device))
        if not use_slots(network):
            raise ModelError(
                f"{self.name!r} ({self.config.model_type}) is of an architecture that cannot be asked here; "
                "serve it and ask the server"
            )
        return network

    @cached_property
    def stops(self) -> frozenset[int]:
        """Tokens that end an answer: those that model and tokenizer name."""
        named: list[Any] = [self.tokenizer.eos_token_id, self.network.config.get_text_config().eos_token_id]
        if self.network.generation_config is not None:
            named.append(self.network.generation_config.eos_token_id)
        ids = (i for n in named for i in (n if isinstance(n, (list, tuple)) else [n]))
        return frozenset(int(i) for i in ids if i is not None)

    def _answers(
        self, requests: Sequence[Request], prompts: Sequence[Prompt], writing: Writing
    ) -> Iterator[tuple[Request, Answer]]:
        for place, tokens in writing.write(prompts):
            yield requests[place], self._answer(prompts[place], tokens)

    def _answer(self, prompt: Prompt, tokens: list[int]) -> Answer:
        ended = tokens[-1] in self.stops
        said = tokens[:-1] if ended else tokens
        text = self.tokenizer.decode(said, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return Answer(str(text), "stop" if ended else "length", len(prompt.ids), len(tokens))

    def _prompts(self, requests: Sequence[Request]) -> list[Prompt]:
        ids = self._tokenise(requests)
        shared = shared_beginnings(ids)
        return [
            Prompt(tokens, self._room(request, len(tokens)), request.sampling, request.seed, beginnings)
            for request, tokens, beginnings in zip(requests, ids, shared, strict=True)
        ]

    def _room(self, request: Request, prompt: int) -> int:
        """Tokens that the answer may have."""
        room = request.sampling.max_tokens
        if self.context is not None:
            room = min(room, self.context - prompt)
        if room < 1:
            raise DataError(
                f"request {request.key}: its prompt of {prompt} tokens leaves no room for an answer, {self.name!r} "
                f"reads {self.context}; shorten it"
            )
        if prompt + room > self.batch_tokens:
            raise DataError(
                f"request {request.key}: prompt and answer may take {prompt + room} tokens, more than the "
                f"{self.batch_tokens} kept at once; shorten it or lower max_tokens"
            )
        return room

    def _tokenise(self, requests: Sequence[Request]) -> list[tuple[int, ...]]:
        if not requests:
            return []
        texts = [self._render(request) for request in requests]
        # The template holds the special tokens: adding them again is the double-BOS fault.
        return [tuple(ids) for ids in self.tokenizer(texts, add_special_tokens=False)["input_ids"]]

    def _render(self, request: Request) -> str:
        messages = [m.model_dump() for m in request.messages]
        try:
            return str(self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
        except Exception as error:  # templates raise whatever their author chose
            raise DataError(f"request {request.key}: the chat template refuses its messages: {error}") from error


def native_precision() -> Precision:
    """bfloat16 on a GPU or a CPU that multiplies it, three times as fast there; float32 on any other."""
    abilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    if torch.cuda.is_available() or any(abilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16")):
        return "bfloat16"
    return "float32"
