"""`rewardsmith train`: runs a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rewardsmith.cli.options import Out, Overwrite, stderr, stdout


def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe file, or the name of a shipped one.")],
    out: Out = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Change a key: stages.custom.epochs=2")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check all, count tokens, say time and memory; train nothing.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Trains what a recipe describes, then evaluates all its models on held-out preferences.

    Interrupted, the same command goes on from the last checkpoint. A run's folder holds the models, the resolved
    recipe, metrics, result.json, tables and plots.

    \b
    rewardsmith recipe list
    rewardsmith train demo --dry-run
    rewardsmith train my-recipe.yaml --set stages.custom.learning_rate=1e-5 --out runs/try-2
    """
    from rewardsmith.training.recipe_file import check_paths, load_recipe
    from rewardsmith.training.shipped import recipe_path

    loaded = load_recipe(recipe_path(recipe), overrides)
    check_paths(loaded, recipe)
    from rewardsmith.training.run import is_main, run_recipe

    if dry_run:
        from rewardsmith.training.planning import plan_run

        if is_main():
            stdout().print(plan_run(loaded).to_text(), highlight=False, markup=False)
        return
    from rewardsmith.reporting.tables import print_result

    folder = out or Path("runs") / loaded.name
    result = run_recipe(loaded, folder, stderr(), overwrite=overwrite)
    if is_main():
        print_result(result, stdout())
        stderr().print(f"models, tables and plots are in {folder}", highlight=False)
