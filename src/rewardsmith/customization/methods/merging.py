"""Trained models merged with the general one, and the path to what comes out; nothing is trained but its members."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from rewardsmith.customization.candidates import Option, PathOption, Settings
from rewardsmith.customization.methods.base import Method, Workshop
from rewardsmith.customization.methods.training import STRENGTHS, Trained
from rewardsmith.modeling.merging import Merge, merged
from rewardsmith.modeling.reward_model import RewardModel

_SEED_STEP = 1000
"""Between the seeds of members: runs with neighbouring seeds share none."""


@dataclass(frozen=True)
class Merged(Method):
    """Models of a trained method, merged in the space of task vectors (see `modeling.merging`)."""

    name: str
    base: Trained
    """The method that trains the members; the first member is its own model."""
    merge: Merge
    densities: tuple[float, ...] = (1.0,)
    """Shares of a task vector's entries that are kept, a path for each."""
    members: int = 1
    """How many models are merged, each trained with another seed."""
    strengths: tuple[float, ...] = STRENGTHS

    def seconds(self, shop: Workshop) -> float:
        """That of the members that are not trained yet."""
        return sum(self.base.seconds_of(shop, seed) for seed in self._seeds(shop))

    def frozen_layers(self, general: RewardModel) -> int:
        """As its members."""
        return self.base.frozen_layers(general)

    def candidates(self, shop: Workshop) -> Iterator[Option]:
        """A path for every density."""
        for seed in self._seeds(shop):
            self.base.trained(shop, seed)
        for density in self.densities:
            end = partial(shop.end, f"{self.name} {density}", partial(self._merged, shop, density))
            settings: Settings = {} if density == 1 else {"density": density}
            for strength in self.strengths:
                yield PathOption(self.name, settings, strength, shop.general, end)

    def _merged(self, shop: Workshop, density: float) -> RewardModel:
        models = [RewardModel.from_pretrained(self.base.trained(shop, seed)) for seed in self._seeds(shop)]
        return merged(shop.general, models, self.merge, density, seed=shop.seed)

    def _seeds(self, shop: Workshop) -> list[int]:
        return [shop.seed + _SEED_STEP * k for k in range(self.members)]
