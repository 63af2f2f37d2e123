"""What a way to customise is, and what it works with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from rich.console import Console

from rewardsmith.customization.candidates import Option
from rewardsmith.customization.parts import TRAIN, Parts
from rewardsmith.modeling.features import FeatureBank
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.preferences.mixing import take_preferences
from rewardsmith.preferences.record import Preference

MOST_ANCHORS = 800
"""More would take minutes to read and change the head little: they fill a matrix as wide as the features."""


class LastModel:
    """Gives models by name and holds the one asked for last: the ends of all paths at once would fill the memory."""

    def __init__(self) -> None:
        self._held: tuple[str, RewardModel] | None = None

    def __call__(self, name: str, make: Callable[[], RewardModel]) -> RewardModel:
        """The model called `name`, which `make` loads or computes."""
        if self._held is None or self._held[0] != name:
            self._held = None
            self._held = name, make()
        return self._held[1]


@dataclass(frozen=True)
class Workshop:
    """What methods work with."""

    general: RewardModel
    general_name: str
    bank: FeatureBank
    parts: Parts
    domain: str
    folder: Path
    seed: int
    console: Console
    portable: bool = True
    """Whether the customised model is to be one that other tools can load."""
    bf16: bool = False
    """Whether methods that train do so under bfloat16 autocast."""
    end: LastModel = field(default_factory=LastModel)

    def anchors(self) -> list[Preference]:
        """The general preferences whose verdicts a residual is held to: a fixed sample of the train parts, the same for
        every seed, so that it is read once."""
        pool = self.parts.pooled(TRAIN)
        return take_preferences(pool, min(MOST_ANCHORS, len(pool)))


class Method(ABC):
    """A way to customise: candidates on paths that leave the general model."""

    name: str
    """Its name in `summaries`."""
    refits: ClassVar[bool] = False
    """Whether it is quick: tried whatever the time left, and fitted anew to the choosing part too once the path is
    chosen."""

    def refusal(self, shop: Workshop) -> str | None:
        """Why it cannot be used here; None where it can."""
        return None

    @abstractmethod
    def seconds(self, shop: Workshop) -> float:
        """What it is expected to take, scoring apart."""

    @abstractmethod
    def frozen_layers(self, general: RewardModel) -> int:
        """How many layers keep the general model's weights while those above train; 0 where nothing is run twice."""

    @abstractmethod
    def candidates(self, shop: Workshop) -> Iterator[Option]:
        """Its models, each path from its end inwards."""
