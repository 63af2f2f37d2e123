"""Recipe files: YAML read, overridden by dotted keys, its faults explained all at once, and written back.

It knows nothing of what a recipe means.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from rewardsmith.errors import DataError, RecipeError, nearest
from rewardsmith.preferences.formats.registry import format_named
from rewardsmith.preferences.sample import SAMPLE_PREFIX, sample_path
from rewardsmith.training.recipe import Recipe, reference_faults


def load_recipe(path: str | Path, overrides: list[str] | None = None) -> Recipe:
    """Reads a recipe file and applies dotted overrides (`stages.0.learning_rate=1e-5`).

    Raises:
        RecipeError: the file is missing or no YAML, or the recipe does not hold together; all faults at once.
    """
    path = Path(path)
    try:
        raw = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise RecipeError(f"{path} is no valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        raise RecipeError(f"{path} holds no recipe: a mapping with name, data and stages is expected")
    for override in overrides or []:
        _override(raw, override)
    return parse_recipe(raw, str(path), path.parent)


def read_text(path: Path) -> str:
    """A recipe file's text. Raises RecipeError where there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise RecipeError(f"there is no recipe {path}; see: rewardsmith recipe list") from error
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} cannot be read: {error}") from error


def parse_recipe(raw: dict[str, Any], source: str, folder: Path | None = None) -> Recipe:
    """Validates a recipe given as plain data; relative paths are taken from `folder`."""
    try:
        recipe = Recipe.model_validate(raw)
    except ValidationError as error:
        faults = [_explain(item) for item in error.errors()]
        if not any(item["loc"] == () for item in error.errors()):
            faults += reference_faults(raw)
        raise RecipeError(f"{source}: {'; '.join(faults)}") from error
    if folder is not None:
        for spec in recipe.data.values():
            if (folder / spec.path).exists():
                spec.path = str(folder / spec.path)
    return recipe


def check_paths(recipe: Recipe, source: str) -> None:
    """Raises RecipeError when a data set's file or the backbone's folder is not there, naming all that are missing."""
    missing = []
    for name, spec in recipe.data.items():
        if not _may_be_there(spec.path):
            missing.append(f"data.{name}.path: there is no {spec.path} (looked in {Path.cwd()})")
        try:
            if spec.path.startswith(SAMPLE_PREFIX):
                sample_path(spec.path)
            if spec.format is not None:
                format_named(spec.format)
        except DataError as error:
            missing.append(f"data.{name}: {error}")
    if recipe.backbone.model.startswith((".", "/", "~")) and not Path(recipe.backbone.model).expanduser().exists():
        missing.append(f"backbone.model: there is no {recipe.backbone.model}")
    missing += [
        f"stages.{k}.start: there is no folder {stage.start}"
        for k, stage in enumerate(recipe.stages)
        if "/" in stage.start and not Path(stage.start).expanduser().is_dir()
    ]
    if missing:
        raise RecipeError(f"{source}: {'; '.join(missing)}")


def _may_be_there(path: str) -> bool:
    """Whether a set's path is a file or folder that exists, a sample, or a name that only a hub can know."""
    on_hub = path.startswith("hf:") or re.fullmatch(r"[\w-]+/[\w.-]+(:[\w-]+)*", path) is not None
    is_data_file = path.split(":")[0].endswith((".jsonl", ".json", ".csv", ".tsv", ".parquet", ".gz"))
    here = Path(path).expanduser().exists() or Path(path.rsplit(":", 1)[0]).expanduser().is_dir()
    return here or path.startswith(SAMPLE_PREFIX) or (on_hub and not is_data_file)


def dump_recipe(recipe: Recipe) -> str:
    """The recipe with all its defaults written out, as YAML."""
    text: str = yaml.safe_dump(recipe.model_dump(), sort_keys=False, allow_unicode=True, width=110)
    return text


def _override(raw: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise RecipeError(f"--set {override!r}: write it as a.b=value")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"--set {override!r}: the value is no valid YAML") from error
    if isinstance(value, str):
        # YAML 1.1 reads 1e-5 as text; people mean the number.
        with contextlib.suppress(ValueError):
            value = float(value)
    target: Any = raw
    *parents, last = key.split(".")
    for part in parents:
        target = _child(target, part, override)
    if isinstance(target, list):
        target[_index(target, last, override)] = value
    elif isinstance(target, dict):
        target[last] = value
    else:
        raise RecipeError(f"--set {override!r}: {last!r} is inside something that is no mapping")


def _child(target: Any, part: str, override: str) -> Any:
    if isinstance(target, list):
        return target[_index(target, part, override)]
    if not isinstance(target, dict):
        raise RecipeError(f"--set {override!r}: {part!r} is inside something that is no mapping")
    if target.get(part) is None:
        target[part] = {}
    return target[part]


def _index(target: list[Any], part: str, override: str) -> int:
    """An index, or the name or kind of a stage."""
    if part.isdigit() and int(part) < len(target):
        return int(part)
    for k, item in enumerate(target):
        if isinstance(item, dict) and part in (item.get("name"), item.get("stage")):
            return k
    raise RecipeError(f"--set {override!r}: no item {part!r}; give a number below {len(target)} or a stage's name")


def _explain(item: Any) -> str:
    where = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return f"unknown key {where!r}{nearest(str(item['loc'][-1]), _known_keys(item['loc'][:-1]))}"
    reason = item["msg"].removeprefix("Value error, ")
    return f"{where}: {reason}" if where else reason


def _known_keys(loc: tuple[int | str, ...]) -> list[str]:
    """Field names of the model at `loc`, found by walking the recipe's JSON schema."""
    schema = Recipe.model_json_schema()
    node: Any = schema
    for part in loc:
        node = _resolve(schema, node)
        if isinstance(part, int):
            node = node.get("items", {})
        else:
            node = node.get("properties", {}).get(part) or node.get("additionalProperties", {})
    return list(_resolve(schema, node).get("properties", {}))


def _resolve(schema: Any, node: Any) -> Any:
    for option in node.get("anyOf", []):
        if "$ref" in option:
            node = option
    if "$ref" in node:
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    return node
