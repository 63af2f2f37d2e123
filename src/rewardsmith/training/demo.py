"""The demo: the main job from audit to ranking, on embedded model and sample."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.preferences.audit import audit_preferences
from rewardsmith.preferences.reading import load_preferences
from rewardsmith.preferences.record import Preference, response_text
from rewardsmith.preferences.sample import located
from rewardsmith.reporting.audit import audit_text
from rewardsmith.reporting.tables import print_result
from rewardsmith.training.data import load_data
from rewardsmith.training.recipe import Recipe
from rewardsmith.training.recipe_file import load_recipe
from rewardsmith.training.run import run_recipe
from rewardsmith.training.run_folder import RunFolder
from rewardsmith.training.shipped import recipe_path

_SMALL = [
    "backbone.depth=2",
    *(f"stages.{stage}.{change}" for stage in ("general", "custom") for change in ("epochs=1", "freeze_layers=1")),
]
_DOMAIN = "academy"


def run_demo(out: Path, progress: Console, screen: Console, *, small: bool = False, overwrite: bool = False) -> None:
    """Audits the sample, trains and evaluates, and ranks the answers to one held-out query.

    Args:
        small: two layers and one epoch.
    """
    recipe = load_recipe(recipe_path("demo"), _SMALL if small else None)
    _heading(screen, "1. The sample, audited")
    for name in ("general", "domains"):
        preferences = load_preferences(located(f"sample:{name}")).preferences
        screen.print(audit_text(audit_preferences(preferences)), highlight=False)
    _heading(screen, f"2. A general reward model, then one for {_DOMAIN}")
    result = run_recipe(recipe, out, progress, overwrite=overwrite)
    _heading(screen, "3. Both models on preferences they have not seen")
    print_result(result, screen)
    _heading(screen, "4. Ranking the answers to a query they have not seen")
    folder = RunFolder(out)
    preference = _held_out(recipe)
    screen.print(f"query: {preference.first_user_turn()}", highlight=False, markup=False)
    for model in ("general", _DOMAIN):
        _rank(RewardModel.from_pretrained(folder.model(model)), model, preference, screen)
    screen.print(f"\nrecipe, models, tables and plots: {out}", highlight=False)


def _held_out(recipe: Recipe) -> Preference:
    test = load_data(recipe).measured("domains", "test", [_DOMAIN])
    return min(test, key=lambda p: p.id)


def _rank(model: RewardModel, name: str, preference: Preference, screen: Console) -> None:
    screen.print(f"\nthe {name} model's order", style="bold", highlight=False)
    names = preference.response_names or []
    for place, ranked in enumerate(model.rank(preference.prompt, preference.responses), 1):
        text = " ".join(response_text(ranked.response).split())
        line = f"{place}. {ranked.reward:+.2f} {names[ranked.index]:14} {text[:90]} ..."
        screen.print(line, highlight=False, markup=False)


def _heading(screen: Console, text: str) -> None:
    screen.print(f"\n{text}", style="bold")
