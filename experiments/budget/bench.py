"""What all pieces share: the files, the general model, and customisations that are kept."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from rich.console import Console

from experiments.real_data import GENERAL_SETS
from rewardsmith import customize
from rewardsmith.customization.gating import mean_columns
from rewardsmith.evaluation.budget import Question
from rewardsmith.evaluation.customization import NO_METHOD, Customization, load_customization
from rewardsmith.modeling.features import FeatureBank
from rewardsmith.modeling.heads import MixtureHead, apply_linear
from rewardsmith.modeling.info import read_info
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.preferences.candidates import of_domain
from rewardsmith.preferences.reading import load_preferences
from rewardsmith.preferences.record import Preference
from rewardsmith.preferences.writing import write_preferences


@dataclass(frozen=True)
class Bench:
    """Where a piece finds its data and keeps its runs."""

    general: str
    data: Path
    out: Path
    results: Path
    """The folder of the page and of what is published beside it."""
    seeds: Sequence[int]
    minutes: float
    console: Console

    @property
    def portable(self) -> bool:
        """Whether the general model is one that other tools can load; a customised one need not be more."""
        info = read_info(Path(self.general))
        return info is None or info.portable

    @property
    def images(self) -> Path:
        """The folder of the pictures."""
        return self.results.parent / "images"

    @property
    def dsp(self) -> str:
        """The file of the four domains."""
        return self.file("domain_specific_preference")

    def file(self, name: str) -> str:
        """A file of real preferences."""
        return str(self.data / f"{name}.json")

    def general_sets(self, without: str | None = None) -> dict[str, str]:
        """The general preferences by name."""
        return {name: self.file(name) for name in GENERAL_SETS if name != without}

    def of(self, path: str, domain: str) -> list[Preference]:
        """A domain's preferences that rank something."""
        return [p for p in of_domain(load_preferences(path).preferences, domain, path) if p.pairs()]

    def written(self, preferences: Sequence[Preference], name: str) -> str:
        """A part of a set as a file of its own."""
        file = self.out / "data" / f"{name}.jsonl"
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            write_preferences(list(preferences), file)
        return str(file)

    def customised(
        self,
        name: str,
        preferences: str,
        domain: str,
        sets: Mapping[str, str],
        points: float,
        seed: int,
        *,
        method: str = "auto",
        bf16: bool = False,
        keep_model: bool = False,
    ) -> Customization:
        """A `customize` run in its own folder, or the one that was made before; its model is kept where it is asked
        for, its result always."""
        run = self.out / name
        if (run / "result.json").is_file() and (not keep_model or (run / "model").is_dir()):
            return load_customization(run / "result.json")
        self.console.rule(name)
        result = customize(
            self.general,
            preferences,
            domain,
            sets,
            Question.parse([f"{points}"]),
            run,
            method=method,
            minutes=self.minutes,
            portable=self.portable,
            seed=seed,
            bf16=bf16,
            console=self.console,
        )
        if not keep_model:
            shutil.rmtree(run / "model")
        return result

    def described(self) -> str:
        """The general model in a line."""
        info = read_info(Path(self.general))
        if info is None:
            return self.general
        stages = ", ".join(info.provenance.get("stages", []))
        how = f"trained by the stages {stages}" if stages else "fitted"
        return (
            f"{info.provenance.get('backbone')}, {info.depth or 'all'} layers, {info.pooling} pooling, {info.head} "
            f"head, {how} on {len(info.trained_on)} prompts"
        )


class Kept(NamedTuple):
    """What runs within a budget came to on the test parts."""

    within: str
    """How many found a model."""
    after: float
    """Mean custom accuracy."""
    gains: list[float]
    """Custom, run by run, and what there would have been without a budget."""
    free: list[float]
    general: list[float]
    """Changes of general accuracy."""

    @property
    def share(self) -> float | None:
        """Of the gain without a budget; None where there is none."""
        return sum(self.gains) / sum(self.free) if sum(self.free) > 0 else None


def kept_by(runs: Sequence[Customization]) -> Kept:
    """Of runs whose test parts hold something, as those of `customize` do."""
    return Kept(
        within=f"{sum(r.method != NO_METHOD for r in runs)} of {len(runs)}",
        after=float(np.mean([r.custom.after or 0.0 for r in runs])),
        gains=[r.custom.difference or 0.0 for r in runs],
        free=[(r.unconstrained.difference or 0.0) if r.unconstrained else 0.0 for r in runs],
        general=[r.general.difference or 0.0 for r in runs],
    )


def rewards_of(model: RewardModel, bank: FeatureBank, preferences: Sequence[Preference]) -> list[list[float]]:
    """Rewards of a model that is the bank's but for its head, from the kept features."""
    head, columns = model.own_head, mean_columns(model)
    found = []
    for features, _ in bank.of(preferences):
        pooled = torch.from_numpy(features).float()
        with torch.no_grad():
            if isinstance(head, MixtureHead) and columns is not None:
                rewards = head(pooled, head.gate_logits(pooled[:, columns]))
            else:
                rewards = apply_linear(model.last_layer, pooled)
        found.append(rewards[:, 0].tolist())
    return found


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """The mean and its standard error; NaN for one value."""
    known = np.array(values)
    error = known.std(ddof=1) / np.sqrt(len(known)) if len(known) > 1 else np.nan
    return float(known.mean()), float(error)


def points_with_error(value: tuple[float, float]) -> str:
    """`+1.2 ± 0.4`, in points."""
    return f"{100 * value[0]:+.1f} ± {100 * value[1]:.1f}"
