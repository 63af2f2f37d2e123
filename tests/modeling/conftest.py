"""Reward models to test with: built once, their heads made large so that rewards differ clearly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PROMPT = "Why is the sky blue?"
RESPONSES = [
    "Because the air scatters blue light more than red light.",
    "It just is.",
    "No idea, go away! " * 3,
    "Bread, flour, water, salt and yeast.",
]


@pytest.fixture(scope="session")
def texts() -> tuple[str, list[str]]:
    """A prompt and four responses of very different length."""
    return PROMPT, RESPONSES


@pytest.fixture(scope="session")
def build(make_backbone: Callable[..., Path], architectures: dict[str, Any]) -> Callable[..., Any]:
    """Builds a reward model with a loud head: `build("llama", pooling="mean", domains=[...], pad="eos")`.

    `pad`, `bos`, `chat` (the template) and `settings` make the backbone, the rest is its `BackboneSpec`.
    """
    import torch

    from rewardsmith.modeling.building import build_reward_model
    from rewardsmith.modeling.spec import BackboneSpec

    tokenizer_options = ("pad", "bos", "chat", "style", "settings")

    def make(name: str, domains: list[str] | None = None, loud: float = 1.0, **options: Any) -> Any:
        backbone = {k.replace("chat", "template"): options.pop(k) for k in tokenizer_options if k in options}
        options.setdefault("template", "tokenizer" if architectures[name].decoder else "dsp")
        options.setdefault("max_length", 128)
        spec = BackboneSpec(model=str(make_backbone(name, **backbone)), **options)
        torch.manual_seed(1)
        model = build_reward_model(spec, domains).eval()
        with torch.no_grad():
            for key, weight in model.head.named_parameters():
                if weight.requires_grad and "original_module" not in key:
                    weight.normal_(std=loud)
            for key, weight in model.named_parameters():
                if "lora_B" in key:
                    weight.normal_(std=0.05)
        return model

    return make


@pytest.fixture(scope="session")
def plain_rewards() -> Callable[..., list[float]]:
    """Rewards as a stranger gets them: the Auto class, the saved tokenizer and its chat template, one padded batch."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    def score(path: Path, prompt: str, responses: list[str], side: str = "right", network: Any = None) -> list[float]:
        tokenizer = AutoTokenizer.from_pretrained(path, padding_side=side)
        network = network or AutoModelForSequenceClassification.from_pretrained(path)
        dialogues = [
            [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}] for response in responses
        ]
        batch = tokenizer.apply_chat_template(
            dialogues, padding=True, tokenize=True, return_dict=True, return_tensors="pt"
        )
        with torch.no_grad():
            logits = network.eval()(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        assert logits.shape == (len(responses), 1)
        return logits[:, 0].float().tolist()

    return score


@pytest.fixture(scope="session")
def rewards_and_gradients() -> Callable[..., Any]:
    """`(model, batch)` of tokenized responses to their rewards and every gradient, by name, of their squares' sum."""
    from rewardsmith.batching.layout import Layout

    def measure(model: Any, batch: Any) -> tuple[Any, dict[str, Any]]:
        model.zero_grad()
        rewards = model(Layout(2, trees=True, token_budget=4096).rows(batch)).rewards
        rewards.square().sum().backward()
        return rewards.detach(), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}

    return measure


@pytest.fixture(scope="session")
def model(build: Callable[..., Any]) -> Any:
    """One for all tests, each of which leaves it as it was."""
    return build("llama")


@pytest.fixture
def saved(model: Any, tmp_path: Path) -> Path:
    """Its folder."""
    folder: Path = model.save_pretrained(tmp_path / "saved")
    return folder
