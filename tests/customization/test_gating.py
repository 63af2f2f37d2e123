"""A gated head is what its formula says, in rewards from kept features and in the model that is saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit

from rewardsmith.customization.candidates import GatedOption, general_option
from rewardsmith.customization.gating import Gate, fit_gate, mean_columns
from rewardsmith.modeling.building import build_reward_model
from rewardsmith.modeling.features import FeatureBank
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.modeling.spec import BackboneSpec
from rewardsmith.preferences.record import Preference


def _model(backbone: Path, **spec: object) -> RewardModel:
    torch.manual_seed(0)
    return build_reward_model(BackboneSpec(model=str(backbone), max_length=128, pooling="mean", **spec)).eval()


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"layers": [1, 3]},
        {"head": "mixture", "experts": ["a", "b"]},
        {"head": "mixture", "experts": ["a", "b", "c"], "layers": [2, 3]},
    ],
    ids=["linear", "layers", "mixture", "mixture-layers"],
)
def test_a_gated_head_is_its_formula(
    make_backbone: Callable[..., Path],
    tiny_preferences: list[Preference],
    tmp_path: Path,
    spec: dict[str, object],
) -> None:
    general = _model(make_backbone("llama"), **spec)
    columns = mean_columns(general)
    assert columns is not None
    draw = np.random.default_rng(0)
    head, weight = draw.normal(size=general.last_layer.in_features), draw.normal(size=columns.stop - columns.start)
    bank = FeatureBank(general)
    try:
        option = GatedOption("gated", {}, 0.7, head, bank, Gate(weight, 0.3), columns, "poetry")
        found = option.rewards(tiny_preferences)
        before = general_option(bank).rewards(tiny_preferences)
    finally:
        bank.close()
    option.model().save_pretrained(tmp_path / "m")
    loaded = RewardModel.from_pretrained(tmp_path / "m")
    after = loaded.score_preferences(tiny_preferences)
    assert len(loaded.info.experts or []) == 2 * len(general.info.experts or ["general"])
    for p, old, kept, whole in zip(tiny_preferences, before, found, after, strict=True):
        h = general.features_of(general.text.batch([(p.prompt, r) for r in p.responses]))[0].double().numpy()
        share = 0.7 * expit(h[:, columns] @ weight + 0.3)
        expected = (1 - share) * np.array(old) + share * (h @ head)
        np.testing.assert_allclose(kept, expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(whole, expected, rtol=1e-4, atol=1e-5)


def test_only_means_of_the_last_layer_can_be_gated(make_backbone: Callable[..., Path]) -> None:
    backbone = make_backbone("llama")
    assert mean_columns(_model(backbone, layers=[1, 2])) is None
    assert mean_columns(_model(backbone, head="mlp")) is None
    plain = build_reward_model(BackboneSpec(model=str(backbone), max_length=128))
    assert mean_columns(plain) is None


def test_gate_tells_custom_dialogues_from_general_ones() -> None:
    draw = np.random.default_rng(0)
    centre = draw.normal(size=12)
    custom, general = draw.normal(size=(400, 12)) + centre, draw.normal(size=(900, 12)) * 3
    gate = fit_gate(custom[:200], general[:450])
    # The best rule's error, by the densities that the data were drawn from.
    best = np.mean(_logit(custom[200:], centre) > 0) + np.mean(_logit(general[450:], centre) < 0)
    right = np.mean(gate(custom[200:]) > 0.5) + np.mean(gate(general[450:]) < 0.5)
    assert 1.3 < right <= best + 0.05


def test_gate_that_sees_no_difference_lets_half_through() -> None:
    x = np.random.default_rng(0).normal(size=(500, 3))
    np.testing.assert_allclose(fit_gate(x, x)(x), 0.5, atol=1e-6)


def _logit(x: np.ndarray, centre: np.ndarray) -> np.ndarray:
    custom = -((x - centre) ** 2).sum(axis=1) / 2
    general = -(x**2).sum(axis=1) / 18 - x.shape[1] * np.log(3)
    return custom - general
