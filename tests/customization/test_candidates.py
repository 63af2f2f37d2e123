"""Candidates on a path are scored above the layers that they share: the same rewards as from the saved whole model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from rewardsmith.customization.candidates import PathOption
from rewardsmith.modeling.backbone import layers_of
from rewardsmith.modeling.building import build_reward_model
from rewardsmith.modeling.frozen import FrozenPrefix
from rewardsmith.modeling.paths import interpolated, shared_layers
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.modeling.spec import BackboneSpec
from rewardsmith.preferences.record import Preference


@pytest.fixture
def ends(make_backbone: Callable[..., Path]) -> Callable[..., tuple[RewardModel, RewardModel]]:
    """A model of three layers, and one whose layers from `first` on, and whose head, are changed."""

    def make(name: str, first: int) -> tuple[RewardModel, RewardModel]:
        torch.manual_seed(0)
        general = build_reward_model(BackboneSpec(model=str(make_backbone(name)), max_length=128)).eval()
        trained = interpolated(general, general, 0.0)
        with torch.no_grad():
            for module in [*list(layers_of(trained.backbone, 3))[first:], trained.head]:
                for p in module.parameters():
                    p += 0.1 * torch.randn_like(p)
        return general, trained

    return make


@pytest.mark.parametrize("name", ["llama", "gemma2", "modernbert"])
def test_rewards_on_a_path_are_those_of_the_whole_model(
    ends: Callable[..., tuple[RewardModel, RewardModel]], tiny_preferences: list[Preference], name: str
) -> None:
    general, trained = ends(name, 2)
    assert shared_layers(general, trained) == 2
    for strength in (1.0, 0.4, 0.4):
        option = PathOption("m", {}, strength, general, lambda: trained)
        found = option.rewards(tiny_preferences)
        plain = interpolated(general, trained, strength).score_preferences(tiny_preferences)
        for a, b in zip(found, plain, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_lower_layers_are_run_once_for_a_whole_path(
    ends: Callable[..., tuple[RewardModel, RewardModel]],
    tiny_preferences: list[Preference],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    general, trained = ends("llama", 2)
    PathOption("m", {}, 1.0, general, lambda: trained).rewards(tiny_preferences)
    missed: list[bool] = []
    remembered = FrozenPrefix._remembered

    def counted(prefix: FrozenPrefix, *asked: object) -> torch.Tensor | None:
        states = remembered(prefix, *asked)  # type: ignore[arg-type]
        missed.append(states is None)
        return states

    monkeypatch.setattr(FrozenPrefix, "_remembered", counted)
    for strength in (0.7, 0.2):
        PathOption("m", {}, strength, general, lambda: trained).rewards(tiny_preferences)
    # What each store is tried with is kept too.
    assert missed and not any(missed)


def test_models_that_differ_from_the_embedding_on_share_nothing(
    ends: Callable[..., tuple[RewardModel, RewardModel]],
) -> None:
    general, trained = ends("llama", 0)
    assert shared_layers(general, trained) == 0
    general, trained = ends("llama", 1)
    with torch.no_grad():
        trained.inner.get_input_embeddings().weight[0, 0] += 1
    assert shared_layers(general, trained) == 0
