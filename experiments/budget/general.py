"""The general model of the experiments: `python -m experiments.budget.general --out MODEL`, in minutes.

The embedded model's first layers as they are, and a linear head for each general set on the means of four layers; a
gate that tells the sets apart weighs them, since they prefer opposite things. Everything is convex: no seed, no
schedule. What is not in the train part stays unseen, for customisations to choose, certify and test with.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console

from experiments.command import run_experiment
from experiments.precision import bfloat16_is_faster
from experiments.real_data import FOLDER, GENERAL_SETS, ranking
from rewardsmith.customization.gating import fit_logits
from rewardsmith.customization.residual import PairFeatures, fit_head
from rewardsmith.evaluation.budget import interval_of
from rewardsmith.evaluation.pairs import FloatArray
from rewardsmith.modeling.building import build_reward_model
from rewardsmith.modeling.embedded import EMBEDDED
from rewardsmith.modeling.features import FeatureBank
from rewardsmith.modeling.heads import MixtureHead
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.modeling.scoring import progress
from rewardsmith.modeling.spec import BackboneSpec
from rewardsmith.preferences.record import Preference, content_hash
from rewardsmith.preferences.splitting import split_preferences
from rewardsmith.reporting.format import percent_with_interval

DEPTH, LAYERS = 16, [4, 8, 12, 16]
SHARES = {"train": 0.6, "validation": 0.15, "test": 0.25}
RIDGE = 30.0
"""Chosen on the validation part, from 3, 10 and 30."""
GATE_PENALTY, GATE_SHARPNESS = 100.0, 3.0
"""The gate's logits are multiplied: between two responses it should not differ, since experts' levels do."""


def general(
    out: Annotated[Path, typer.Option(help="Folder of the model.")],
    data: Annotated[Path, typer.Option(help="Folder with the preference files.")] = FOLDER,
    test: Annotated[bool, typer.Option("--test", help="Open the test part too.")] = False,
) -> None:
    """Fits the general model and says how it does on what it did not learn from."""
    console = Console(stderr=True)
    sets = {name: split(data / f"{name}.json") for name in GENERAL_SETS}
    model = fitted({name: parts["train"] for name, parts in sets.items()}, console)
    model.save_pretrained(out, overwrite=True)
    for part in ("validation", "test") if test else ("validation",):
        figures = {name: _correct(model, parts[part]) for name, parts in sets.items()}
        for name, right in figures.items():
            console.print(f"{part}, {name}: {percent_with_interval(right.mean(), interval_of(right))} of {len(right)}")
        mean, interval = mean_of_sets(list(figures.values()))
        console.print(f"{part}, mean of the sets: {percent_with_interval(mean, interval)}")


def fitted(train: dict[str, list[Preference]], console: Console) -> RewardModel:
    """The general model of these sets: of all, or of some of them."""
    # The head's first weights are those that the kept features are filed under: the same whatever the sets.
    first = _unfitted(GENERAL_SETS)
    model = first if list(train) == list(GENERAL_SETS) else _unfitted(list(train))
    bank = FeatureBank(first)
    with progress(console, "reading", sum(len(p) for p in train.values())) as advance:
        for preferences in train.values():
            bank.fill(preferences, advance)
    fit_heads(model, bank, train)
    bank.close()
    seen = {content_hash(p.prompt_key()) for preferences in train.values() for p in preferences}
    model.info = model.info.model_copy(update={"trained_on": sorted(seen)})
    return model


def _unfitted(experts: Sequence[str]) -> RewardModel:
    spec = BackboneSpec(
        model=EMBEDDED,
        depth=DEPTH,
        pooling="mean",
        layers=LAYERS,
        head="mixture",
        experts=list(experts),
        precision="bfloat16" if bfloat16_is_faster() else "float32",
    )
    torch.manual_seed(0)
    return build_reward_model(spec).eval()


def mean_of_sets(figures: Sequence[FloatArray], draws: int = 10_000) -> tuple[float, tuple[float, float]]:
    """Mean of the sets' means, with a percentile bootstrap in which every set is drawn anew."""
    rng = np.random.default_rng(0)
    means = [rng.choice(f, (draws, len(f))).mean(axis=1) for f in figures]
    low, high = np.quantile(np.mean(means, axis=0), [0.025, 0.975])
    return float(np.mean([f.mean() for f in figures])), (float(low), float(high))


def fit_heads(model: RewardModel, bank: FeatureBank, train: dict[str, list[Preference]]) -> None:
    """Sets every expert to the ridge solution on its own set, and the gate to a multinomial logistic regression."""
    head = model.own_head
    assert isinstance(head, MixtureHead)
    experts, means, labels = [], [], []
    width = head.gate.in_features
    for k, preferences in enumerate(train.values()):
        known = bank.of(preferences)
        experts.append(fit_head(PairFeatures.of(preferences, known), RIDGE))
        means.append(np.concatenate([features[:, -width:] for features, _ in known]))
        labels += [k] * len(means[-1])
    weight, bias = fit_logits(np.concatenate(means), np.array(labels), GATE_PENALTY, GATE_SHARPNESS)
    with torch.no_grad():
        head.out.weight.copy_(torch.from_numpy(np.stack(experts)))
        head.gate.weight.copy_(torch.from_numpy(weight))
        head.gate.bias.copy_(torch.from_numpy(bias))


def split(file: Path) -> dict[str, list[Preference]]:
    """A set by part: what the general model learns from, what its settings were chosen on, and the rest."""
    return split_preferences(ranking(file), SHARES, seed=0)


def _correct(model: RewardModel, preferences: list[Preference]) -> FloatArray:
    """Share of pairs ranked right, by preference: each of these sets has one for a prompt."""
    rewards = model.score_preferences(preferences)
    return np.array([np.mean([r[i] > r[j] for i, j in p.pairs()]) for p, r in zip(preferences, rewards, strict=True)])


if __name__ == "__main__":
    run_experiment(general)
