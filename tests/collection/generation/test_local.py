"""A local model's answers: what transformers' own generation says one by one, whatever they are batched with."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from rewardsmith.collection.generation.local import LocalModel
from rewardsmith.collection.generation.writing import Writing
from rewardsmith.collection.requests import Answer, Request, Sampling
from rewardsmith.errors import DataError, ModelError

Local = Callable[..., LocalModel]
Requests = Callable[..., list[Request]]


def answers(model: LocalModel, requests: list[Request]) -> dict[str, Answer]:
    return {request.key: answer for request, answer in model.answers(requests)}


def test_greedy_is_what_transformers_generates(local: Local, decoder: str, requests_of: Requests) -> None:
    """Few slots, so that rows come and go; sliding windows are shorter than the prompts."""
    model, requests = local(decoder, batch_tokens=900), requests_of(14, temperature=0)
    found = answers(model, requests)
    assert len(found) == len(requests)
    plain = AutoModelForCausalLM.from_pretrained(model.folder, dtype=torch.float32)
    for request in requests:
        messages = [m.model_dump() for m in request.messages]
        ids = model.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt")
        inputs = {"input_ids": ids["input_ids"], "attention_mask": torch.ones_like(ids["input_ids"])}
        out = plain.generate(
            **inputs,
            do_sample=False,
            max_new_tokens=request.sampling.max_tokens,
            eos_token_id=list(model.stops),
            pad_token_id=model.tokenizer.pad_token_id,
        )[0, ids["input_ids"].shape[1] :]
        ended = int(out[-1]) in model.stops
        answer = found[request.key]
        assert answer.text == model.tokenizer.decode(out, skip_special_tokens=True)
        assert answer.finish_reason == ("stop" if ended else "length")
        assert (answer.prompt_tokens, answer.completion_tokens) == (ids["input_ids"].shape[1], len(out))


@pytest.mark.parametrize("sampling", [{"temperature": 0}, {"temperature": 1.3, "top_p": 0.8}, {"top_p": 1.0}])
def test_company_changes_nothing(local: Local, requests_of: Requests, sampling: dict[str, float]) -> None:
    model, requests = local("llama"), requests_of(12, **sampling)
    assert all(prompt.beginnings for prompt in model._prompts(requests))
    alone = {r.key: answers(model, [r])[r.key] for r in requests}
    assert answers(model, requests) == alone
    assert answers(local("llama", batch_tokens=400), requests[::-1]) == alone


def test_a_seed_is_an_answer(local: Local, requests_of: Requests) -> None:
    model, request = local("llama"), requests_of(1, max_tokens=20)[0]
    others = [Request(f"s{k}", request.messages, request.sampling, k) for k in range(6)]
    assert len({answer.text for answer in answers(model, others).values()}) == 6


def test_an_answer_stops_where_the_model_says(
    local: Local, make_backbone: Callable[..., Path], requests_of: Requests, tmp_path: Path
) -> None:
    """At any of the tokens that generation_config names: here the fourth that the model would write."""
    model, (request,) = local("llama"), requests_of(1, temperature=0, max_tokens=8)
    writing = Writing(model.network, frozenset(), 2000)
    ((_, written),) = writing.write(model._prompts([request]))
    stop = next(t for t in written[3:] if t not in written[:3])
    folder = tmp_path / "m"
    model.network.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [0, stop]}), encoding="utf-8")
    stopping = LocalModel(str(folder), precision="float32")
    answer = answers(stopping, [request])["r0"]
    said = written[: written.index(stop)]
    assert answer.finish_reason == "stop"
    assert answer.completion_tokens == len(said) + 1
    assert answer.text == model.tokenizer.decode(said, skip_special_tokens=True)


def test_each_answer_comes_when_it_is_complete(local: Local, requests_of: Requests) -> None:
    model, requests = local("llama"), requests_of(8, temperature=0)
    order = [a.completion_tokens for _, a in model.answers(requests)]
    assert order == sorted(order)


def test_leaving_early_frees_the_slots(local: Local, requests_of: Requests, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[weakref.ref[Writing]] = []
    start = Writing.__init__

    def noted(self: Writing, *arguments: object) -> None:
        made.append(weakref.ref(self))
        start(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Writing, "__init__", noted)
    coming = local("llama").answers(requests_of(12))
    next(coming)
    assert made[0]() is not None
    coming.close()  # type: ignore[attr-defined]
    del coming
    gc.collect()
    assert made[0]() is None


def test_slots_hold_no_more_than_asked(local: Local, requests_of: Requests) -> None:
    model = local("llama", batch_tokens=500)
    prompts = model._prompts(requests_of(12))
    writing = Writing(model.network, model.stops, 500)
    for _ in writing.write(prompts):
        assert writing.slots.rows * writing.slots.length <= 500
        assert len(writing.rows) <= writing.slots.rows


def test_no_room_for_an_answer_names_the_request(local: Local, requests_of: Requests) -> None:
    model, requests = local("llama"), requests_of(3)
    model.context = max(model.count_prompt_tokens(requests)) + 2
    assert max(a.completion_tokens for a in answers(model, requests).values()) <= 8
    model.context -= 3
    with pytest.raises(DataError, match=r"request r\d.*no room"):
        model.answers(requests)
    with pytest.raises(DataError, match=r"request r\d.*more than the 20 kept at once"):
        local("llama", batch_tokens=20).answers(requests)


def test_models_that_cannot_be_asked(make_backbone: Callable[..., Path], requests_of: Requests, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has no chat template"):
        LocalModel(str(make_backbone("llama", template=None)))
    with pytest.raises(ModelError, match="no folder"):
        LocalModel(str(tmp_path / "nothing"))
    bert = LocalModel(str(make_backbone("bert", template="{{ messages[0]['content'] }}")))
    with pytest.raises(ModelError, match="bert"):
        bert.answers(requests_of(1))


def test_a_template_that_refuses_names_the_request(make_backbone: Callable[..., Path], requests_of: Requests) -> None:
    model = LocalModel(str(make_backbone("llama", template="{{ raise_exception('no system role') }}")))
    with pytest.raises(DataError, match=r"request r0.*no system role"):
        model.answers(requests_of(1))


def test_nothing_is_asked(local: Local) -> None:
    assert list(local("llama").answers([])) == []
    assert local("llama").count_prompt_tokens([]) == []
    assert Sampling().max_tokens > 0
