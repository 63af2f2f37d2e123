"""A run's folder: what lies where, what has been done, and whether the same run may go on there.

recipe.yaml      the resolved recipe          metrics.jsonl   losses and accuracies, one JSON object a line
run.json         versions, data fingerprints  result.json     the evaluation; tables and plots are made from it
models/NAME/     a model for each stage       checkpoints/    what an interrupted stage goes on from
"""

from __future__ import annotations

import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rewardsmith.errors import OutputExistsError, RewardsmithError
from rewardsmith.files import held_run, write_whole
from rewardsmith.modeling.checkpoint import MODELS
from rewardsmith.modeling.info import FILE_NAME
from rewardsmith.preferences.record import Preference, content_hash
from rewardsmith.training.recipe import Recipe
from rewardsmith.training.recipe_file import dump_recipe

_PACKAGES = ("rewardsmith", "torch", "transformers", "accelerate", "peft", "numpy")

NOT_IN_FINGERPRINT = {"description", "name", "evaluation"}
"""Recipe keys that change no model: choose on the validation part, then evaluate the same models on the test part.
Every other key does, and a run may not go on under another value; stages and data sets may be added."""

_RUN = "run.json"


class RunFolder:
    """One run on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def metrics(self) -> Path:
        """Losses and accuracies, one JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def result(self) -> Path:
        """The evaluation's typed result."""
        return self.path / "result.json"

    def model(self, name: str) -> Path:
        """Folder of the model called `name`."""
        return self.path / MODELS / name

    def has_model(self, name: str) -> bool:
        """Whether that model is finished (models are moved into place whole)."""
        return (self.model(name) / FILE_NAME).is_file()

    def checkpoints(self, label: str) -> Path:
        """Checkpoints of the training called `label`."""
        return self.path / "checkpoints" / label

    def open(self, recipe: Recipe, fingerprints: dict[str, str], overwrite: bool) -> None:
        """Makes the folder, or goes on in one that holds the same run.

        Raises:
            OutputExistsError: it holds something else, or a run with other settings or data; says what differs.
            RewardsmithError: it cannot be written.
        """
        try:
            state = {"recipe": _keys(recipe), "data": fingerprints}
            before = held_run(self.path / _RUN, ("recipe", "data"), overwrite=overwrite)
            if before is not None:
                self._refuse_changes(before, state)
            self.path.mkdir(parents=True, exist_ok=True)
            versions = {p: version(p) for p in _PACKAGES} | {"python": platform.python_version()}
            run = {"version": 1, **(before or {"versions": versions, "command": sys.argv}), **state}
            write_whole(self.path / _RUN, json.dumps(run, indent=2) + "\n")
            write_whole(self.path / "recipe.yaml", dump_recipe(recipe))
        except OSError as error:
            if isinstance(error, OutputExistsError):
                raise
            reason = error.strerror or error
            raise RewardsmithError(f"cannot write to {self.path}: {reason}; name another folder with --out") from error

    def _refuse_changes(self, before: dict[str, Any], now: dict[str, Any]) -> None:
        stages = len({key.split(".")[1] for key in before["recipe"] if key.startswith("stages.")})
        changed = [
            f"{part}.{key}"
            for part in ("recipe", "data")
            for key in sorted({*before[part], *now[part]})
            if before[part].get(key) != now[part].get(key) and not _is_addition(part, key, stages, before["data"])
        ]
        if changed:
            raise OutputExistsError(
                f"{self.path} holds a run with other settings ({', '.join(changed)}); "
                "name another folder with --out, or start it anew with --overwrite"
            )

    def truncate_metrics(self, label: str, step: int) -> None:
        """Drops what an interrupted training wrote after the checkpoint it goes on from, and any torn last line."""
        if not self.metrics.is_file():
            return
        kept = []
        for line in self.metrics.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if entry.get("stage") != label or entry.get("step", 0) <= step:
                kept.append(line)
        write_whole(self.metrics, "".join(line + "\n" for line in kept))

    def log(self, entry: dict[str, Any]) -> None:
        """Appends one object to the metrics."""
        with open(self.metrics, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def _is_addition(part: str, key: str, stages: int, sets: dict[str, str]) -> bool:
    """Whether a key belongs to a stage behind those that a run had, or to a data set beside them."""
    if part == "data":
        return key not in sets
    parts = key.split(".")
    return (parts[0] == "stages" and int(parts[1]) >= stages) or (parts[0] == "data" and parts[1] not in sets)


def fingerprint(preferences: list[Preference]) -> str:
    """A hash of all records, independent of their order."""
    return content_hash(sorted(content_hash(p) for p in preferences))


def _keys(recipe: Recipe) -> dict[str, Any]:
    """The recipe as flat dotted keys, for a comparison that can name what differs."""
    flat: dict[str, Any] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                walk(f"{prefix}.{key}" if prefix else str(key), item)
        elif isinstance(value, list) and any(isinstance(v, dict) for v in value):
            for k, item in enumerate(value):
                walk(f"{prefix}.{k}", item)
        else:
            flat[prefix] = value

    walk("", recipe.model_dump(exclude=NOT_IN_FINGERPRINT))
    return {key: value for key, value in flat.items() if not (key.startswith("data.") and key.endswith(".path"))}
