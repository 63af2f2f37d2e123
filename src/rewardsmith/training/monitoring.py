"""Accuracy on validation parts while training: general, custom, and each set's own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rewardsmith.errors import UserError, nearest
from rewardsmith.evaluation.pairs import pair_table
from rewardsmith.evaluation.ranking import accuracy
from rewardsmith.evaluation.scored import score_preferences
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.preferences.mixing import take_preferences
from rewardsmith.preferences.record import Preference
from rewardsmith.training.data import RecipeData
from rewardsmith.training.jobs import Job
from rewardsmith.training.recipe import Recipe, StageSpec
from rewardsmith.training.trainer import BOTH

MOST = 120
"""Preferences measured of each set: an interval of about 9 points, enough to watch a training by."""


def validation_of(job: Job, recipe: Recipe, data: RecipeData) -> ValidationAccuracy | None:
    """What a job is watched by; None where it measures nothing.

    Raises:
        UserError: `keep_best` names a figure that is not measured.
    """
    stage = job.stage
    if not stage.measures:
        return None
    validation = ValidationAccuracy(stage, job.domains, recipe, data)
    if stage.keep_best and stage.keep_best not in validation.figures:
        there = ", ".join(validation.figures) or "no validation preferences"
        hint = nearest(stage.keep_best, validation.figures)
        raise UserError(
            f"{job.label}: keep_best is {stage.keep_best!r}, which is not measured{hint}; there are {there}"
        )
    return validation


class ValidationAccuracy:
    """Measures a model on the validation parts of a recipe's sets.

    `custom` is the mean over the stage's domains, `general` the mean over all other sets; each set also stands alone.
    """

    def __init__(self, stage: StageSpec, domains: Sequence[str], recipe: Recipe, data: RecipeData) -> None:
        self.sets: dict[str, list[Preference]] = {}
        self.custom: list[str] = []
        general = {name for s in recipe.stages if s.stage != "custom" for name in s.weights()}
        general |= {*stage.watch, *(stage.enrichment.sets if stage.enrichment else [])}
        for name in sorted(general):
            self._add(name, data.measured(name, "validation"))
        if stage.stage == "custom":
            for domain in domains:
                found = [p for name in stage.weights() for p in data.measured(name, "validation", [domain])]
                self.custom += self._add(domain, found)
        self.general = [name for name in self.sets if name not in self.custom]

    def __call__(self, model: RewardModel) -> dict[str, float]:
        """Accuracies by name; a figure without a single ranked pair is left out."""
        found: dict[str, float] = {}
        flat = [p for preferences in self.sets.values() for p in preferences]
        scored = iter(score_preferences(model.score_preferences, flat))
        for name, preferences in self.sets.items():
            table = pair_table([next(scored) for _ in preferences], "prompt")
            value = accuracy(table.margins, table.prompts)
            if value is not None:
                found[name] = value
        for group, names in (("general", self.general), ("custom", self.custom)):
            values = [found[name] for name in names if name in found]
            if values:
                found[group] = float(np.mean(values))
        return found

    @property
    def figures(self) -> list[str]:
        """The names that it gives, and the one that the trainer makes of two of them."""
        groups = [group for group, names in (("general", self.general), ("custom", self.custom)) if names]
        both = [BOTH] if len(groups) == 2 else []
        return list(dict.fromkeys([*groups, *both, *self.sets]))

    def _add(self, name: str, preferences: list[Preference]) -> list[str]:
        if not preferences:
            return []
        self.sets[name] = take_preferences(preferences, min(MOST, len(preferences)))
        return [name]
