"""A customisation's folder: what lies where, and what a run that goes on finds there.

run.json      the options and fingerprints      path.json     methods and path, fixed before the certify part opens
rewards/      what dear candidates gave         training/     runs of the methods that train; data/ what they train on
model/        the customised model              result.json   the result; report.html is made of it
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rewardsmith.customization.candidates import KeptOption, Option
from rewardsmith.customization.choosing import scored_by
from rewardsmith.errors import OutputExistsError, RewardsmithError, UserError
from rewardsmith.evaluation.customization import Customization, load_customization
from rewardsmith.evaluation.scored import ScoredPreference
from rewardsmith.files import held_run, write_whole
from rewardsmith.preferences.record import Preference, content_hash


@dataclass(frozen=True)
class Fixed:
    """What may not change once the certify part is opened: the methods that were tried, and the path by names."""

    methods: list[str]
    path: list[str]


class CustomizationFolder:
    """One customisation on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def model(self) -> Path:
        """The customised model."""
        return self.path / "model"

    @property
    def training(self) -> Path:
        """Where the methods that train have their runs."""
        return self.path / "training"

    def open(self, state: Mapping[str, object], overwrite: bool) -> None:
        """Makes the folder, or goes on in one that holds the same run.

        Raises:
            OutputExistsError: it holds something else, or a run with other options or data; says which.
            RewardsmithError: it cannot be written.
        """
        file = self.path / "run.json"
        now: dict[str, Any] = json.loads(json.dumps(state))
        try:
            held = held_run(file, ("options",), overwrite=overwrite, kind="customize run")
            before = now if held is None else held["options"]
            changed = [key for key in {**before, **now} if before.get(key) != now.get(key)]
            if changed:
                raise OutputExistsError(
                    f"{self.path} holds a run with other options ({', '.join(changed)}); name another folder with "
                    "--out, or start it anew with --overwrite"
                )
            self.path.mkdir(parents=True, exist_ok=True)
            write_whole(file, json.dumps({"version": 1, "options": now}, indent=2) + "\n")
        except OSError as error:
            if isinstance(error, RewardsmithError):
                raise
            raise RewardsmithError(f"cannot write to {self.path}: {error.strerror}; name another folder") from error

    def require_run(self, overwrite: bool) -> None:
        """Raises UserError where there is nothing to go on with, or it is to be overwritten."""
        if overwrite:
            raise UserError("--resume goes on with a run and --overwrite removes it; give one of them")
        if not (self.path / "run.json").is_file():
            raise UserError(f"--resume: {self.path} holds no customize run; leave --resume out to start one there")

    def result(self) -> Customization | None:
        """The result of a run that is done."""
        file = self.path / "result.json"
        return load_customization(file) if file.is_file() else None

    def finish(self, result: Customization) -> None:
        """Writes the result, last of all."""
        write_whole(self.path / "result.json", result.model_dump_json(indent=2) + "\n")

    def fixed(self) -> Fixed | None:
        """The path, where it was fixed already."""
        file = self.path / "path.json"
        return Fixed(**json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else None

    def fix(self, fixed: Fixed) -> None:
        """Writes down the path."""
        write_whole(self.path / "path.json", json.dumps(asdict(fixed), indent=2) + "\n")

    def scored(
        self, option: Option, part: str, sets: Mapping[str, Sequence[Preference]]
    ) -> dict[str, list[ScoredPreference]]:
        """Every set's records under a candidate; what the backbone was run for is kept."""
        if isinstance(option, KeptOption):
            return scored_by(option, sets)
        file = self.path / "rewards" / part / f"{content_hash(option.name)}.json"
        if not file.is_file():
            found = scored_by(option, sets)
            rewards = {name: [s.rewards for s in records] for name, records in found.items()}
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, json.dumps({"candidate": option.name, "rewards": rewards}))
            return found
        kept = json.loads(file.read_text(encoding="utf-8"))["rewards"]
        return {
            name: [ScoredPreference.of(p, r) for p, r in zip(preferences, kept[name], strict=True)]
            for name, preferences in sets.items()
        }
