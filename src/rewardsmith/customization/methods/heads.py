"""A head trained on kept features, in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rewardsmith.customization.candidates import HeadOption, Option
from rewardsmith.customization.methods.base import Workshop
from rewardsmith.customization.parts import TRAIN
from rewardsmith.customization.residual import PairFeatures, fit_residual
from rewardsmith.modeling.reward_model import RewardModel


@dataclass(frozen=True)
class Residual:
    """A linear head added to the general reward, trained on kept features (see `residual`)."""

    name: str
    retentions: tuple[float, ...]
    """Weights of the pull towards the general model's verdicts on general prompts."""
    ridges: tuple[float, ...] = (0.003, 0.03, 0.3)
    strengths: tuple[float, ...] = (1.0, 0.75, 0.5, 0.35, 0.25, 0.15)

    def seconds(self, shop: Workshop) -> float:
        """Next to nothing."""
        return 0.0

    def frozen_layers(self, general: RewardModel) -> int:
        """None: what the last layer reads is kept instead."""
        return 0

    def candidates(self, shop: Workshop) -> Iterator[Option]:
        """A path for every pull and ridge."""
        train, general = shop.parts.custom[TRAIN], shop.anchors()
        custom_pairs = PairFeatures.of(train, shop.bank.of(train))
        general_pairs = PairFeatures.of(general, shop.bank.of(general))
        for retention in self.retentions:
            for ridge in self.ridges:
                residual = fit_residual(custom_pairs, general_pairs, ridge=ridge, retention=retention)
                settings = {"ridge": ridge} | ({"retention": retention} if retention else {})
                for strength in self.strengths:
                    yield HeadOption(self.name, dict(settings), strength, residual, shop.bank)
