"""Rewardsmith: reward models customised to a domain, a group or a person, general ability kept and measured.

    from rewardsmith import RewardModel
    model = RewardModel.from_pretrained("runs/demo", domain="academy")
    model.score("Why is the sky blue?", ["Rayleigh scattering ...", "It just is."])

Names are loaded when first used, so that importing the package is fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rewardsmith.customization.customize import customize
    from rewardsmith.evaluation.evaluate import evaluate_sets
    from rewardsmith.modeling.reward_model import RewardModel
    from rewardsmith.preferences.reading import load_preferences, read_preferences
    from rewardsmith.preferences.record import Message, Preference
    from rewardsmith.preferences.writing import write_preferences
    from rewardsmith.training.recipe import Recipe
    from rewardsmith.training.recipe_file import load_recipe
    from rewardsmith.training.run import run_recipe

_HOMES = {
    "Message": "preferences.record",
    "Preference": "preferences.record",
    "Recipe": "training.recipe",
    "RewardModel": "modeling.reward_model",
    "customize": "customization.customize",
    "evaluate_sets": "evaluation.evaluate",
    "load_preferences": "preferences.reading",
    "load_recipe": "training.recipe_file",
    "read_preferences": "preferences.reading",
    "run_recipe": "training.run",
    "write_preferences": "preferences.writing",
}

__all__ = [
    "Message",
    "Preference",
    "Recipe",
    "RewardModel",
    "customize",
    "evaluate_sets",
    "load_preferences",
    "load_recipe",
    "read_preferences",
    "run_recipe",
    "write_preferences",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'rewardsmith' has no attribute {name!r}")
    return getattr(import_module(f"rewardsmith.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
