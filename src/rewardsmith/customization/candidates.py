"""Candidates: models on a path that leads from the general model to what a method ends in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from rewardsmith.customization.gating import Gate
from rewardsmith.evaluation.customization import NO_METHOD
from rewardsmith.evaluation.pairs import FloatArray
from rewardsmith.modeling.features import FeatureBank
from rewardsmith.modeling.paths import interpolated, shared_layers, with_gated_head, with_residual
from rewardsmith.modeling.reuse import reused_layers
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.preferences.record import Preference

Settings = dict[str, float | int | str]


@dataclass(frozen=True)
class Option(ABC):
    """A candidate: what it is, and its rewards."""

    method: str
    """Name of the method that it comes from."""
    settings: Settings
    """What tells it from the method's other paths."""
    strength: float
    """Where it stands on its path: 0 is the general model, 1 the end."""

    @property
    def name(self) -> str:
        """`anchored(retention=1, ridge=0.1) x 0.5`: tells a candidate from all others of a run."""
        settings = ", ".join(
            f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}" for key, value in self.settings.items()
        )
        return f"{self.method}({settings}) x {self.strength:g}" if settings else f"{self.method} x {self.strength:g}"

    @abstractmethod
    def rewards(self, preferences: Sequence[Preference]) -> list[list[float]]:
        """Of every response of every preference."""

    @abstractmethod
    def model(self) -> RewardModel:
        """The reward model itself."""


@dataclass(frozen=True)
class KeptOption(Option):
    """Judged on kept features, in no time: `weights` [width] of what the general model's last layer reads."""

    weights: FloatArray = field(repr=False)
    bank: FeatureBank = field(repr=False)


@dataclass(frozen=True)
class HeadOption(KeptOption):
    """The general model with `strength` times a residual on its last layer."""

    def rewards(self, preferences: Sequence[Preference]) -> list[list[float]]:
        """The general rewards, and the residual's."""
        change = self.strength * self.weights
        return [(general + features @ change).tolist() for features, general in self.bank.of(preferences)]

    def model(self) -> RewardModel:
        """The general model with another head."""
        return with_residual(self.bank.model, torch.from_numpy(self.strength * self.weights))


@dataclass(frozen=True)
class GatedOption(KeptOption):
    """The general model, and where a gate opens `strength` of the way from it to another head."""

    gate: Gate = field(repr=False)
    means: slice = field(repr=False)
    """The features that the gate reads."""
    domain: str

    def rewards(self, preferences: Sequence[Preference]) -> list[list[float]]:
        """The general rewards, led towards the head's."""
        return [
            (
                general + self.strength * self.gate(features[:, self.means]) * (features @ self.weights - general)
            ).tolist()
            for features, general in self.bank.of(preferences)
        ]

    def model(self) -> RewardModel:
        """The general model with twice its experts."""
        gate = torch.from_numpy(self.gate.weight), self.gate.bias
        return with_gated_head(self.bank.model, torch.from_numpy(self.weights), self.strength, gate, self.domain)


def general_option(bank: FeatureBank) -> HeadOption:
    """The general model itself, as a candidate of strength 0."""
    return HeadOption(NO_METHOD, {}, 0.0, np.zeros(bank.model.last_layer.in_features), bank)


@dataclass(frozen=True)
class PathOption(Option):
    """The general model's weights mixed with those of a trained one."""

    general: RewardModel = field(repr=False)
    end: Callable[[], RewardModel] = field(repr=False)
    """Loads the trained model."""

    def rewards(self, preferences: Sequence[Preference]) -> list[list[float]]:
        """Runs the layers that differ from the general model's; the states below them are computed once for all."""
        model = self.model()
        with reused_layers(model, shared_layers(self.general, self.end())):
            return model.score_preferences(preferences)

    def model(self) -> RewardModel:
        """A copy with the mixed weights."""
        return interpolated(self.general, self.end(), self.strength)
