"""The run's final figures: each model's rewards on the held-out parts, kept on disk, and the result made of them.

Rewards are written as soon as a model is trained, all domains of a joint model from one pass, so that an interrupted
run does not score again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from rewardsmith.evaluation.evaluate import summarise_models
from rewardsmith.evaluation.result import EvaluationResult
from rewardsmith.evaluation.scored import ScoredPreference
from rewardsmith.files import write_whole
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.preferences.record import Preference
from rewardsmith.training.data import RecipeData
from rewardsmith.training.recipe import Recipe
from rewardsmith.training.run_folder import RunFolder

Sets = dict[str, list[Preference]]


def evaluation_sets(recipe: Recipe, data: RecipeData) -> Sets:
    """The sets that all models are measured on: general ones by name, custom ones by domain."""
    part = recipe.evaluation.part
    wanted = recipe.evaluation.sets if recipe.evaluation.sets is not None else list(recipe.data)
    sets: Sets = {}
    for stage in recipe.stages:
        if stage.stage == "custom":
            names = [name for name in stage.weights() if name in wanted]
            for domain in data.domains(stage):
                sets.setdefault(domain, [p for n in names for p in data.measured(n, part, [domain])])
        names = [] if stage.stage == "custom" else list(stage.weights())
        for name in [*names, *(stage.enrichment.sets if stage.enrichment else [])]:
            if name in wanted:
                sets.setdefault(name, data.measured(name, part))
    custom = {name for stage in recipe.stages if stage.stage == "custom" for name in stage.weights()}
    for name in recipe.evaluation.sets or []:
        if name not in custom:
            sets.setdefault(name, data.measured(name, part))
    return {name: preferences for name, preferences in sets.items() if preferences}


def score_test_sets(
    model: RewardModel, outputs: Mapping[str, int], recipe: Recipe, data: RecipeData, folder: RunFolder
) -> None:
    """Writes the rewards that each of `outputs` (model name to output index) gives to every evaluation set."""
    sets = evaluation_sets(recipe, data)
    found = iter(model.outputs_of([p for preferences in sets.values() for p in preferences]))
    rows = {name: [next(found) for _ in preferences] for name, preferences in sets.items()}
    for model_name, k in outputs.items():
        rewards = {name: [[response[k] for response in row] for row in rows[name]] for name in sets}
        path = _rewards_file(folder, recipe, model_name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(rewards))


def evaluate_run(models: list[str], recipe: Recipe, data: RecipeData, folder: RunFolder) -> EvaluationResult:
    """The result of all models of a run, each compared with the first on every set."""
    sets = evaluation_sets(recipe, data)
    scored = {name: _scored(name, sets, recipe, data, folder) for name in models}
    reference = next(iter(models), None)  # a base stage alone makes no reward model
    return summarise_models(scored, reference=reference, baselines=recipe.evaluation.baselines, seed=recipe.seed)


def _scored(
    name: str, sets: Sets, recipe: Recipe, data: RecipeData, folder: RunFolder
) -> dict[str, list[ScoredPreference]]:
    path = _rewards_file(folder, recipe, name)
    rewards = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if set(sets) - set(rewards):
        # Interrupted between saving the model and scoring with it, or sets have come since.
        score_test_sets(RewardModel.from_pretrained(folder.model(name)), {name: 0}, recipe, data, folder)
        rewards = json.loads(path.read_text(encoding="utf-8"))
    return {s: [ScoredPreference.of(p, r) for p, r in zip(sets[s], rewards[s], strict=True)] for s in sets}


def _rewards_file(folder: RunFolder, recipe: Recipe, name: str) -> Path:
    return folder.path / "rewards" / recipe.evaluation.part / f"{name}.json"
