"""The recipes that come with the package: by name, or as a start for one's own.

Beside them, as `accelerate/NAME`, lie configurations for `accelerate launch`; they are no recipes and are not listed.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml

from rewardsmith.errors import OutputExistsError, RecipeError, RewardsmithError, nearest

FOLDER = Path(__file__).parent.parent / "recipes"


def shipped_recipes() -> dict[str, str]:
    """Names with their descriptions."""
    return {
        path.stem: " ".join(str(yaml.safe_load(path.read_text(encoding="utf-8")).get("description", "")).split())
        for path in sorted(FOLDER.glob("*.yaml"))
    }


def recipe_path(name: str) -> Path:
    """The file of a shipped recipe, or the path itself where it is a file.

    Raises:
        RecipeError: it is neither.
    """
    path = Path(name)
    if path.is_file():
        return path
    shipped = FOLDER / f"{name}.yaml"
    if shipped.is_file():
        return shipped
    names = [p.relative_to(FOLDER).with_suffix("").as_posix() for p in FOLDER.rglob("*.yaml")]
    raise RecipeError(f"there is no recipe {name!r}{nearest(name, names)}; see: rewardsmith recipe list")


def copy_recipe(name: str, out: Path, *, overwrite: bool = False) -> None:
    """Copies a recipe to `out`.

    Raises:
        OutputExistsError: `out` is there.
        RewardsmithError: it cannot be written.
    """
    source = recipe_path(name)
    if out.exists() and not overwrite:
        raise OutputExistsError(f"{out} exists; name another file or use --overwrite")
    try:
        shutil.copyfile(source, out)
    except OSError as error:
        raise RewardsmithError(f"{out} cannot be written: {error.strerror}") from error
