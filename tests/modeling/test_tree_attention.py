"""Attention over prompt trees: what a response sees, and which architectures can. That training on trees is training on
padded rows is proved in `training/test_exactness.py`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AttentionInterface, AutoConfig

from rewardsmith.batching.layout import Layout
from rewardsmith.batching.tokenizing import TokenizedResponse
from rewardsmith.modeling import tree_attention
from rewardsmith.modeling.building import build_reward_model
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.modeling.spec import BackboneSpec
from rewardsmith.modeling.tree_attention import VERIFIED, enable_trees
from rewardsmith.modeling.tree_check import differs_first

TREES = Layout(2, trees=True, token_budget=4096)
few = settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def sequences(draw: st.DrawFn, most: int = 8) -> list[TokenizedResponse]:
    """2 to 8 sequences that share beginnings at several levels: each continues a beginning of an earlier one, perhaps
    the whole of it, perhaps by nothing."""
    token = st.integers(10, 300)
    found = [tuple(draw(st.lists(token, min_size=1, max_size=40)))]
    for _ in range(draw(st.integers(1, most - 1))):
        stem = draw(st.sampled_from(found))
        cut = draw(st.integers(0, len(stem)) | st.just(len(stem)))
        rest = draw(st.lists(token, min_size=0 if cut else 1, max_size=30))
        found.append(stem[:cut] + tuple(rest))
    order = draw(st.permutations(range(len(found))))
    return [TokenizedResponse(found[k], draw(st.integers(0, len(found[k])))) for k in order]


@few
@given(given_sequences=sequences())
def test_a_reward_does_not_depend_on_its_company(
    model_of: Callable[[str, str], RewardModel],
    in_double: Callable[[RewardModel], AbstractContextManager[None]],
    tree_decoder: str,
    given_sequences: list[TokenizedResponse],
) -> None:
    """It is what it is alone: siblings may change, go, or come in another order. No token but its own touches it."""
    model = model_of(tree_decoder, "mean")
    with in_double(model):
        together = model.rewards_of(given_sequences)
        alone = torch.cat([model.rewards_of([sequence]) for sequence in given_sequences])
        torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)
    (rows,) = TREES.rows(given_sequences)
    embedded: list[torch.Tensor] = []
    hook = model.backbone.get_input_embeddings().register_forward_hook(lambda *args: embedded.append(args[2]))
    rewards = model([rows]).rewards[rows.sequence]
    hook.remove()
    for n in range(len(given_sequences)):
        (slope,) = torch.autograd.grad(rewards[n, 0], embedded, retain_graph=True)
        touched = slope[0].any(dim=1).nonzero().flatten().tolist()
        assert touched == sorted(rows.member[rows.owner == n].tolist())


def test_every_tested_decoder_is_listed_as_verified(make_backbone: Callable[..., Path], tree_decoder: str) -> None:
    assert AutoConfig.from_pretrained(make_backbone(tree_decoder)).model_type in VERIFIED


def test_encoders_keep_padded_rows(make_backbone: Callable[..., Path], encoder: str) -> None:
    model = build_reward_model(BackboneSpec(model=str(make_backbone(encoder)), template="chatml", max_length=64))
    assert not model.trees


@pytest.mark.parametrize("layer", ["linear_attention", "chunked_attention", "conv"])
def test_layers_that_a_tree_cannot_follow_are_refused(
    make_backbone: Callable[..., Path], layer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build_reward_model(BackboneSpec(model=str(make_backbone("qwen3")), max_length=64))
    monkeypatch.setattr(model.inner.config, "layer_types", ["full_attention", layer, "full_attention"])
    assert not enable_trees(model.inner)


def test_bidirectional_attention_is_refused(make_backbone: Callable[..., Path]) -> None:
    model = build_reward_model(BackboneSpec(model=str(make_backbone("gemma3")), max_length=64))
    model.inner.config.use_bidirectional_attention = True
    assert not enable_trees(model.inner)


def test_an_unknown_architecture_is_checked_once_and_falls_back(
    make_backbone: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = build_reward_model(BackboneSpec(model=str(make_backbone("llama")), max_length=128))
    torch.nn.init.normal_(model.head.weight)
    prompt = tuple(range(20, 60))
    given = [TokenizedResponse((*prompt, *range(k, k + 9)), 40) for k in (70, 90, 110)]
    right = model.rewards_of(given)
    assert differs_first(model, given) is None
    monkeypatch.setattr(tree_attention, "VERIFIED", frozenset())
    model.trees_checked = False

    def wrong_in_layer_1(module: torch.nn.Module, query: torch.Tensor, *args: Any, **how: Any) -> Any:
        return tree_attention.tree_attention(module, (1 + (module.layer_idx == 1)) * query, *args, **how)

    monkeypatch.setitem(AttentionInterface._global_mapping, tree_attention.NAME, wrong_in_layer_1)
    assert differs_first(model, given) is None  # wrong in both forms alike

    def wrong_in_trees(module: torch.nn.Module, query: torch.Tensor, *args: Any, **how: Any) -> Any:
        return (wrong_in_layer_1 if how.get("nodes") else tree_attention.tree_attention)(module, query, *args, **how)

    monkeypatch.setitem(AttentionInterface._global_mapping, tree_attention.NAME, wrong_in_trees)
    assert differs_first(model, given) == "layer 1"
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(model.inner.config, "num_hidden_layers", 9)  # no list of so many layers is found
        assert differs_first(model, given) == "the head"
    torch.testing.assert_close(model.rewards_of(given), right)
    assert not model.trees
    model.rewards_of(given)
    assert capsys.readouterr().err.count("(layer 1 is the first to differ): padded rows are used") == 1


@pytest.mark.parametrize("name", ["llama", "gemma2"])
def test_gradient_checkpointing_keeps_the_tree(model_of: Callable[[str, str], RewardModel], name: str) -> None:
    model = model_of(name, "last")
    prompt = tuple(range(20, 60))
    given = [TokenizedResponse((*prompt, *range(k, k + 9)), 40) for k in (70, 90, 110)]

    def gradient() -> torch.Tensor:
        output = model(TREES.rows(given, [True, False, True]))
        model.zero_grad()
        (output.rewards.square().sum() + 0.01 * output.lm_nll.sum()).backward()
        return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])

    plain = gradient()
    model.train()
    model.activation_checkpointing_enable()
    try:
        checkpointed = gradient()
    finally:
        model.inner.gradient_checkpointing_disable()
        model.eval()
    assert (checkpointed - plain).norm() <= 1e-6 * plain.norm()
