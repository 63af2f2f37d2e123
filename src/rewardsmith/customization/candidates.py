"""Candidates: models on a path that leads from the general model to what a method ends in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch

from rewardsmith.customization.features import FeatureBank
from rewardsmith.evaluation.pairs import FloatArray
from rewardsmith.modeling.paths import interpolated, with_residual
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.preferences.record import Preference

Settings = dict[str, float | int | str]


class Option(Protocol):
    """A candidate: what it is, and its rewards."""

    @property
    def method(self) -> str:
        """Name of the method that it comes from."""

    @property
    def settings(self) -> Settings:
        """What tells it from the method's other paths."""

    @property
    def strength(self) -> float:
        """Where it stands on its path: 0 is the general model, 1 the end."""

    def rewards(self, preferences: Sequence[Preference]) -> list[list[float]]:
        """Of every response of every preference."""

    def model(self) -> RewardModel:
        """The reward model itself."""


def name_of(option: Option) -> str:
    """`anchored(retention=1, ridge=0.1) x 0.5`: tells a candidate from all others of a run."""
    settings = ", ".join(
        f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}" for key, value in option.settings.items()
    )
    return (
        f"{option.method}({settings}) x {option.strength:g}" if settings else f"{option.method} x {option.strength:g}"
    )


@dataclass(frozen=True)
class HeadOption:
    """The general model with `strength` times a residual on its last layer; judged on kept features."""

    method: str
    settings: Settings
    strength: float
    residual: FloatArray = field(repr=False)
    bank: FeatureBank = field(repr=False)

    def rewards(self, preferences: Sequence[Preference]) -> list[list[float]]:
        """The general rewards, and the residual's."""
        change = self.strength * self.residual
        return [(general + features @ change).tolist() for features, general in self.bank.of(preferences)]

    def model(self) -> RewardModel:
        """The general model with another head."""
        return with_residual(self.bank.model, torch.from_numpy(self.strength * self.residual))


@dataclass(frozen=True)
class PathOption:
    """The general model's weights mixed with those of a trained one."""

    method: str
    settings: Settings
    strength: float
    general: RewardModel = field(repr=False)
    end: RewardModel = field(repr=False)

    def rewards(self, preferences: Sequence[Preference]) -> list[list[float]]:
        """Runs the backbone."""
        return self.model().score_preferences(preferences)

    def model(self) -> RewardModel:
        """A copy with the mixed weights."""
        return interpolated(self.general, self.end, self.strength)
