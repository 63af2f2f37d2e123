"""Prompt trees against padded rows: the same rewards, likelihoods and gradients, for every decoder and pooling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.overrides import TorchFunctionMode

from rewardsmith.batching.rows import Layout
from rewardsmith.batching.tokenizing import TokenizedResponse
from rewardsmith.modeling import imitation, tree_attention
from rewardsmith.modeling.building import build_reward_model, prepare_imitation
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.modeling.spec import BackboneSpec
from rewardsmith.modeling.tree_attention import VERIFIED, enable_trees
from rewardsmith.modeling.tree_check import trees_agree

TREES = Layout(2, trees=True, token_budget=4096)
PADDED = Layout(2, trees=False, token_budget=4096)
POOLINGS = ("last", "mean", "max")
few = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Double(TorchFunctionMode):
    """Norms and heads compute in float32 whatever their input: within this mode they do it in float64."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        wider = {torch.float32: torch.float64}
        args = [wider.get(a, a) if isinstance(a, torch.dtype) else a for a in args]
        kwargs = {k: wider.get(a, a) if isinstance(a, torch.dtype) else a for k, a in (kwargs or {}).items()}
        return (torch.Tensor.double if func is torch.Tensor.float else func)(*args, **kwargs)


@contextmanager
def _double(model: RewardModel) -> Iterator[None]:
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    model.double()
    try:
        with Double():
            yield
    finally:
        model.float()
        torch.set_default_dtype(default)


@pytest.fixture(scope="module")
def model_of(make_backbone: Callable[..., Path]) -> Callable[[str, str], RewardModel]:
    """A tiny model with imitation and a head large enough for differences to show, made once."""
    made: dict[tuple[str, str], RewardModel] = {}

    def make(name: str, pooling: str) -> RewardModel:
        if (name, pooling) not in made:
            spec = BackboneSpec(model=str(make_backbone(name)), pooling=pooling, max_length=128)
            model = build_reward_model(spec)
            prepare_imitation(model, spec)
            torch.manual_seed(1)
            for parameter in model.head.parameters():
                torch.nn.init.normal_(parameter)
            made[name, pooling] = model.eval()
        return made[name, pooling]

    return make


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


def _measure(model: RewardModel, layout: Layout, given: list[TokenizedResponse]) -> tuple[torch.Tensor, ...]:
    """Rewards, likelihoods, and the gradient of a fixed mixture of them as one vector."""
    weights = torch.linspace(-1, 1, len(given)) + 0.3
    output = model(layout.rows(given, [k % 3 != 1 for k in range(len(given))]))
    model.zero_grad()
    (output.rewards[:, 0] @ weights.to(output.rewards) + 0.01 * (output.lm_nll @ weights.to(output.lm_nll))).backward()
    gradients = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    return output.rewards.detach(), output.lm_nll.detach(), output.lm_tokens, torch.cat(gradients)


def _relative(a: torch.Tensor, b: torch.Tensor) -> float:
    """Against 1 where the wanted values nearly cancel out: rewards are of that size."""
    return float((a - b).norm() / b.norm().clamp(min=1.0))


@pytest.mark.parametrize("pooling", POOLINGS)
@few
@given(given_sequences=sequences(), budget=st.sampled_from([24, 100, 4096]))
def test_trees_equal_padded_rows(
    model_of: Callable[[str, str], RewardModel],
    decoder: str,
    pooling: str,
    given_sequences: list[TokenizedResponse],
    budget: int,
) -> None:
    model = model_of(decoder, pooling)
    assert model.trees
    trees = _measure(model, Layout(2, trees=True, token_budget=budget), given_sequences)
    padded = _measure(model, PADDED, given_sequences)
    assert torch.equal(trees[2], padded[2])
    for found, wanted in zip(trees, padded, strict=True):
        assert _relative(found, wanted) < 1e-5


@settings(few, max_examples=6)
@given(given_sequences=sequences())
def test_trees_equal_padded_rows_in_double(
    model_of: Callable[[str, str], RewardModel], decoder: str, given_sequences: list[TokenizedResponse]
) -> None:
    model = model_of(decoder, "last")
    with _double(model), pytest.MonkeyPatch.context() as patch:
        # The recomputation of a checkpoint leaves the mode.
        patch.setattr(imitation, "checkpoint", lambda function, *args, use_reentrant: function(*args))
        trees, padded = (_measure(model, layout, given_sequences) for layout in (TREES, PADDED))
    assert trees[3].dtype == torch.float64
    for found, wanted in zip(trees, padded, strict=True):
        assert _relative(found, wanted) < 1e-10


@settings(few, max_examples=8)
@given(given_sequences=sequences())
def test_a_reward_does_not_depend_on_its_company(
    model_of: Callable[[str, str], RewardModel], decoder: str, given_sequences: list[TokenizedResponse]
) -> None:
    model = model_of(decoder, "last")
    with _double(model):  # so that only the rewards' own rounding to float32 is left
        together = model.rewards_of(given_sequences)
        alone = torch.cat([model.rewards_of([sequence]) for sequence in given_sequences])
    torch.testing.assert_close(together, alone, rtol=1e-6, atol=1e-6 * float(alone.abs().max()))


def test_every_tested_decoder_is_listed_as_verified(architectures: dict[str, Any]) -> None:
    assert {a.model_type for a in architectures.values() if a.decoder} <= VERIFIED


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
    assert trees_agree(model, given)
    monkeypatch.setattr(tree_attention, "VERIFIED", frozenset())
    model.trees_checked = False
    monkeypatch.setattr(tree_attention, "_causal", lambda size, seen, *_: torch.ones(size, seen + size).tril().bool())
    assert not trees_agree(model, given)
    torch.testing.assert_close(model.rewards_of(given), right)
    assert not model.trees
    model.rewards_of(given)
    assert capsys.readouterr().err.count("padded rows") == 1


@pytest.mark.parametrize("name", ["llama", "gemma2"])
def test_gradient_checkpointing_keeps_the_tree(model_of: Callable[[str, str], RewardModel], name: str) -> None:
    model = model_of(name, "last")
    prompt = tuple(range(20, 60))
    given = [TokenizedResponse((*prompt, *range(k, k + 9)), 40) for k in (70, 90, 110)]
    plain = _measure(model, TREES, given)
    model.train()
    model.gradient_checkpointing_enable()
    try:
        checkpointed = _measure(model, TREES, given)
    finally:
        model.inner.gradient_checkpointing_disable()
        model.eval()
    assert _relative(checkpointed[3], plain[3]) < 1e-6
