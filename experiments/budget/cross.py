"""(d) Every custom model on every set: four domains, and the general sets."""

from __future__ import annotations

import numpy as np

from experiments.budget.bench import Bench, rewards_of
from experiments.budget.front import POINTS, runs_at
from experiments.real_data import DOMAINS
from rewardsmith.customization.customize import read_parts
from rewardsmith.customization.parts import TEST
from rewardsmith.evaluation.budget import interval_of
from rewardsmith.evaluation.pairs import FloatArray, pair_table
from rewardsmith.evaluation.ranking import correctness
from rewardsmith.evaluation.scored import ScoredPreference
from rewardsmith.modeling.features import FeatureBank
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.preferences.record import Preference
from rewardsmith.reporting.format import percent_with_interval
from rewardsmith.reporting.tables import Table, to_markdown


def section(bench: Bench) -> str:
    """Scores what is missing, and tells of it."""
    runs_at(bench, POINTS[0])
    scored: dict[tuple[str, str], list[FloatArray]] = {}
    start = RewardModel.from_pretrained(bench.general)
    bank = FeatureBank(start)
    for seed in bench.seeds:
        parts = {d: read_parts(start, bench.dsp, d, bench.general_sets(), seed) for d in DOMAINS}
        sets = {d: parts[d].custom[TEST] for d in DOMAINS} | {"general": parts[DOMAINS[0]].pooled(TEST)}
        models = {"general model": start} | {
            d: RewardModel.from_pretrained(bench.out / f"front/{d}-{POINTS[0]:g}-{seed}" / "model") for d in DOMAINS
        }
        for name, model in models.items():
            for column, figures in _correct(model, bank, sets).items():
                scored.setdefault((name, column), []).append(figures)
    columns = (*DOMAINS, "general")
    rows = [(name, *(_cell(scored[name, column]) for column in columns)) for name in ("general model", *DOMAINS)]
    return "\n\n".join(
        [
            "## (d) Every custom model on every set",
            f"The models within {POINTS[0]:g} points of (a), test parts of {len(bench.seeds)} seeds; rows are models, "
            "columns the preferences. Accuracy %, mean over prompts [95 %].",
            to_markdown(Table("", ("model", *columns), tuple(rows))),
        ]
    )


def _correct(model: RewardModel, bank: FeatureBank, sets: dict[str, list[Preference]]) -> dict[str, FloatArray]:
    """Every set's mean share of pairs ranked right, by prompt."""
    found = {}
    for name, preferences in sets.items():
        rewards = rewards_of(model, bank, preferences)
        table = pair_table([ScoredPreference.of(p, r) for p, r in zip(preferences, rewards, strict=True)])
        found[name] = np.bincount(table.prompts, correctness(table.margins)) / np.bincount(table.prompts)
    return found


def _cell(figures: list[FloatArray]) -> str:
    every = np.concatenate(figures)
    return percent_with_interval(float(every.mean()), interval_of(every))
