"""(d) Every custom model on every set: four domains, and the general sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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
from rewardsmith.reporting.format import percent_with_interval
from rewardsmith.reporting.tables import Table, to_markdown

GENERAL_MODEL, GENERAL = "general model", "general"


def section(bench: Bench) -> str:
    """Scores what is missing, and tells of it."""
    scored: dict[tuple[str, str], list[FloatArray]] = {}
    for name, column, found in scored_parts(bench, TEST):
        scored.setdefault((name, column), []).append(_correct(found))
    columns = (*DOMAINS, GENERAL)
    rows = [(name, *(_cell(scored[name, column]) for column in columns)) for name in (GENERAL_MODEL, *DOMAINS)]
    return "\n\n".join(
        [
            "## (d) Every custom model on every set",
            f"The models within {POINTS[0]:g} points of (a), test parts of {len(bench.seeds)} seeds; rows are models, "
            "columns the preferences. Accuracy %, mean over prompts [95 %].",
            to_markdown(Table("", ("model", *columns), tuple(rows))),
        ]
    )


def scored_parts(bench: Bench, *names: str, across: bool = True) -> Iterator[tuple[str, str, list[ScoredPreference]]]:
    """(model, set, records) of every seed: the general model and each domain's, on these parts of each domain's and of
    the general preferences; not `across`, on the general ones and the model's own domain alone. A customised model that
    was not kept is made first."""
    runs_at(bench, POINTS[0])
    start = RewardModel.from_pretrained(bench.general)
    bank = FeatureBank(start)
    for seed in bench.seeds:
        parts = {d: read_parts(start, bench.dsp, d, bench.general_sets(), seed) for d in DOMAINS}
        sets = {d: [p for name in names for p in parts[d].custom.get(name, [])] for d in DOMAINS}
        sets[GENERAL] = [p for name in names for p in parts[DOMAINS[0]].pooled(name)]
        models = {GENERAL_MODEL: start} | {
            d: RewardModel.from_pretrained(bench.out / f"front/{d}-{POINTS[0]:g}-{seed}" / "model") for d in DOMAINS
        }
        for model_name, model in models.items():
            for column in sets if across else sets.keys() & {model_name, GENERAL}:
                rewards = rewards_of(model, bank, sets[column])
                yield (
                    model_name,
                    column,
                    [ScoredPreference.of(p, r) for p, r in zip(sets[column], rewards, strict=True)],
                )


def _correct(scored: Sequence[ScoredPreference]) -> FloatArray:
    """The mean share of pairs ranked right, by prompt."""
    table = pair_table(scored)
    shares: FloatArray = np.bincount(table.prompts, correctness(table.margins)) / np.bincount(table.prompts)
    return shares


def _cell(figures: list[FloatArray]) -> str:
    every = np.concatenate(figures)
    return percent_with_interval(float(every.mean()), interval_of(every))
