"""Parts made of numbers, and a tiny model with preferences that its features can tell."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from rewardsmith.calibration.parts import Part
from rewardsmith.preferences.record import Message, Preference

if TYPE_CHECKING:
    from rewardsmith.modeling.reward_model import RewardModel


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Features of tiny models are of no use to anybody else."""
    monkeypatch.setenv("REWARDSMITH_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def made_up() -> Callable[..., Part]:
    """A part whose verdicts are drawn with odds of `temperature`: `made_up(400, temperature=3.0, seed=1)`."""

    def make(n: int, *, temperature: float = 1.0, seed: int = 0, width: int = 5, length: float = 0.0) -> Part:
        rng = np.random.default_rng(seed)
        head = np.linspace(-2.5, 2.5, width)
        preferences, known = [], []
        for k in range(n):
            texts = ["x" * int(size) for size in rng.integers(5, 300, size=2)]
            features = rng.normal(size=(2, width))
            rewards = features @ head + length * np.log1p([len(t) for t in texts])
            first = rng.random() < 1 / (1 + np.exp(-(rewards[0] - rewards[1]) / temperature))
            scores = [1.0, 0.0] if first else [0.0, 1.0]
            prompt = [Message(role="user", content=f"Question {k}?")]
            preferences.append(
                Preference(id=str(k), prompt=prompt, responses=[f"a{texts[0]}", f"b{texts[1]}"], scores=scores)
            )
            known.append((features, rewards))
        return Part.of(preferences, known)

    return make


@pytest.fixture(scope="session")
def reward_model(
    make_backbone: Callable[..., Path],
    like_kind_answers: Callable[[RewardModel], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A llama of three layers whose rewards, far too large, mostly like kind answers."""
    from rewardsmith.modeling.building import build_reward_model
    from rewardsmith.modeling.info import RewardScale
    from rewardsmith.modeling.spec import BackboneSpec

    model = build_reward_model(BackboneSpec(model=str(make_backbone("llama")), max_length=96)).eval()
    like_kind_answers(model)
    model.info = model.info.model_copy(update={"reward_scale": RewardScale(mean=4.0, std=8.0, n=9, source="s")})
    return model.save_pretrained(tmp_path_factory.mktemp("reward") / "model")


@pytest.fixture(scope="session")
def like_kind_answers() -> Callable[[RewardModel], None]:
    """Adds to every row of a model's last layer what ranks the kind answers to twelve prompts higher by 20."""
    import torch

    def add(model: RewardModel) -> None:
        texts = [([Message(role="user", content=f"Say {k}.")], text) for k in range(200, 212) for text in _answers(k)]
        features, rewards = model.features_of(model.text.batch(texts))
        wanted = 20 - (rewards[0::2] - rewards[1::2])
        with torch.no_grad():
            model.last_layer.weight += torch.linalg.lstsq(features[0::2] - features[1::2], wanted).solution.T

    return add


@pytest.fixture(scope="session")
def kind(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred pairs; in a quarter of them the unkind answer is preferred."""
    rows = []
    for k in range(100):
        kind, unkind = _answers(k)
        chosen, rejected = (unkind, kind) if k % 4 == 0 else (kind, unkind)
        rows.append({"prompt": f"Say {k}.", "chosen": chosen, "rejected": rejected})
    path = tmp_path_factory.mktemp("kind") / "kind.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    return path


def _answers(k: int) -> tuple[str, str]:
    return f"Gladly: {k} is a number{' and more' * (k % 3)}.", f"No, {k} bores me."
