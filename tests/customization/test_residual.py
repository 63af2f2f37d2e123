"""The anchored residual against scikit-learn, its own gradient and its limits; the model that carries it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from rewardsmith.customization.residual import PairFeatures, fit_residual
from rewardsmith.modeling.features import FeatureBank
from rewardsmith.modeling.paths import interpolated, with_residual
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.preferences.record import Message, Preference


def made_up(n: int, seed: int, width: int = 6) -> PairFeatures:
    rng = np.random.default_rng(seed)
    return PairFeatures(rng.normal(size=(n, width)), rng.normal(size=n), np.full(n, 1 / n))


def test_without_margins_and_retention_it_is_logistic_regression() -> None:
    custom = made_up(80, 0)
    custom = PairFeatures(custom.x / np.sqrt((custom.x**2).mean(axis=0)), np.zeros(80), custom.weights)
    ours = fit_residual(custom, made_up(12, 1), ridge=0.1, retention=0.0)
    x, y = np.vstack([custom.x, -custom.x]), np.repeat([1, 0], 80)
    peer = LogisticRegression(C=1 / (0.1 * 160), fit_intercept=False, tol=1e-10, max_iter=10_000).fit(x, y)
    np.testing.assert_allclose(ours, peer.coef_[0], atol=2e-4)


@pytest.mark.parametrize("apart", [0.0, 0.6])
def test_it_is_where_the_stated_loss_is_least(apart: float) -> None:
    custom, general = made_up(50, 1), made_up(70, 2)
    rng = np.random.default_rng(0)
    target = general.margins + apart * rng.normal(size=70)
    found = fit_residual(custom, general, ridge=0.05, retention=2.0, held_to=target if apart else None)
    scale = np.sqrt((custom.x**2).mean(axis=0))
    p = 1 / (1 + np.exp(-target))

    def loss(delta: np.ndarray) -> float:
        ranking = np.mean(np.log1p(np.exp(-(custom.margins + custom.x @ delta))))
        hold = np.mean(p * (1 - p) * (general.margins + general.x @ delta - target) ** 2) / 2
        return float(ranking + 0.05 / 2 * ((delta * scale) ** 2).sum() + 2.0 * hold)

    assert all(loss(found) < loss(found + 1e-3 * rng.normal(size=6)) for _ in range(50))


def test_a_stronger_hold_changes_general_margins_less() -> None:
    custom, general = made_up(50, 1), made_up(70, 2)
    moved = [
        np.abs(general.x @ fit_residual(custom, general, ridge=0.01, retention=k)).mean() for k in (0.0, 1.0, 100.0)
    ]
    assert moved[0] > moved[1] > 10 * moved[2]


@pytest.mark.parametrize("head", ["linear", "mlp", "mixture"])
def test_a_residual_on_kept_features_is_the_model_with_that_head(
    make_backbone: Callable[..., Path], tmp_path: Path, head: str
) -> None:
    from rewardsmith.modeling.building import build_reward_model
    from rewardsmith.modeling.spec import BackboneSpec

    experts = ["a", "b"] if head == "mixture" else None
    spec = BackboneSpec.model_validate(
        {"model": str(make_backbone("llama")), "head": head, "experts": experts, "max_length": 128}
    )
    _check_residual(build_reward_model(spec), tmp_path)


def test_the_same_on_an_encoder(make_backbone: Callable[..., Path], tmp_path: Path) -> None:
    from rewardsmith.modeling.building import build_reward_model
    from rewardsmith.modeling.spec import BackboneSpec

    spec = BackboneSpec(model=str(make_backbone("bert", template=None)), template="dsp", max_length=64)
    _check_residual(build_reward_model(spec), tmp_path)


def _check_residual(model: RewardModel, tmp_path: Path) -> None:
    model = model.eval()
    preferences = [
        Preference(
            id=str(k),
            prompt=[Message(role="user", content=f"Question {k}?")],
            responses=["Yes.", "No, and here is why not.", "It depends on the weather."],
            scores=[2.0, 1.0, 0.0],
        )
        for k in range(5)
    ]
    bank = FeatureBank(model)
    known = bank.of(preferences)
    for (_, rewards), scored in zip(known, model.score_preferences(preferences), strict=True):
        np.testing.assert_allclose(rewards, scored, atol=1e-5)
    residual = np.random.default_rng(0).normal(size=known[0][0].shape[1])
    changed = with_residual(model, torch.from_numpy(residual))
    expected = [rewards + features @ residual for features, rewards in known]
    for scored, want in zip(changed.score_preferences(preferences), expected, strict=True):
        np.testing.assert_allclose(scored, want, rtol=1e-4, atol=1e-4)
    bank.close()
    again = FeatureBank(model)
    np.testing.assert_array_equal(again.of(preferences)[2][0], known[2][0].astype(np.float32))
    again.close()
    half = interpolated(model, changed, 0.5)
    for scored, (features, rewards) in zip(half.score_preferences(preferences), known, strict=True):
        np.testing.assert_allclose(scored, rewards + features @ residual / 2, rtol=1e-4, atol=1e-4)
    loaded = RewardModel.from_pretrained(changed.save_pretrained(tmp_path / "changed"))
    np.testing.assert_allclose(loaded.score_preferences(preferences), changed.score_preferences(preferences), atol=1e-5)
