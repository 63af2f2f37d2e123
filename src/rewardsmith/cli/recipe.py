"""`rewardsmith recipe`: the shipped recipes, and checking one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rewardsmith.cli.options import Overwrite, stderr, stdout

app = typer.Typer(help="Lists, shows, copies and checks recipes.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A shipped recipe's name, or a recipe file.")]


@app.command("list")
def list_() -> None:
    """Names the shipped recipes and what each does."""
    from rewardsmith.training.shipped import shipped_recipes

    for name, description in shipped_recipes().items():
        print(f"{name}\n    {description}")


@app.command()
def show(
    name: Name,
    full: Annotated[bool, typer.Option("--full", help="With all defaults written out.")] = False,
) -> None:
    """Prints a recipe."""
    from rewardsmith.training.recipe_file import dump_recipe, load_recipe, read_text
    from rewardsmith.training.shipped import recipe_path

    path = recipe_path(name)
    print(dump_recipe(load_recipe(path)) if full else read_text(path), end="")


@app.command()
def copy(
    name: Name,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Where to.")],
    overwrite: Overwrite = False,
) -> None:
    """Copies a shipped recipe to a file of your own.

    accelerate/ddp, accelerate/fsdp2, accelerate/zero2 and accelerate/zero3 are configurations for several GPUs; their
    first lines say how to use them.
    """
    from rewardsmith.training.shipped import copy_recipe

    copy_recipe(name, out, overwrite=overwrite)
    told = f"{out}: now edit it; a recipe with your files is checked by: rewardsmith recipe check {out}"
    stderr().print(told, highlight=False)


@app.command()
def check(
    name: Name,
    overrides: Annotated[list[str] | None, typer.Option("--set", metavar="A.B=C", help="Change a key.")] = None,
) -> None:
    """Checks a recipe and its data sets' paths; all faults at once."""
    from rewardsmith.training.recipe_file import check_paths, load_recipe
    from rewardsmith.training.shipped import recipe_path

    loaded = load_recipe(recipe_path(name), overrides)
    check_paths(loaded, name)
    stdout().print(f"{name}: fine, {len(loaded.stages)} stages, {len(loaded.data)} data sets", highlight=False)


@app.command()
def schema() -> None:
    """Prints the JSON Schema of recipes, for editors."""
    import json

    from rewardsmith.training.recipe import Recipe

    print(json.dumps(Recipe.model_json_schema(), indent=2))
