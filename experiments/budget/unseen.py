"""A general set that was left out: each of the three in turn, by the customisation or by the general model as well."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from experiments.budget.bench import Bench, rewards_of
from experiments.budget.general import fitted, split
from experiments.real_data import DOMAINS, GENERAL_SETS, ranking
from rewardsmith.customization.customize import read_parts
from rewardsmith.customization.parts import CERTIFY, CHOOSE, TEST
from rewardsmith.evaluation.budget import interval_of, prompt_differences
from rewardsmith.evaluation.customization import Customization
from rewardsmith.evaluation.pairs import FloatArray, pair_table
from rewardsmith.evaluation.ranking import accuracy
from rewardsmith.evaluation.scored import ScoredPreference
from rewardsmith.modeling.features import FeatureBank
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.preferences.record import Preference
from rewardsmith.reporting.format import difference_with_interval, percent, signed_percent
from rewardsmith.reporting.tables import Table, to_markdown

POINTS = 2.0
METHODS = ("anchored", "gated")
"""The best that can be carried elsewhere, and the one that may win by knowing a format."""


class _Start(NamedTuple):
    """A general model to customise, and the preferences of the set left out that it was not trained on."""

    trained_on: str
    runs: str
    """What tells its runs' folders from the other's."""
    bench: Bench
    model: RewardModel
    unseen: list[Preference]


def section(bench: Bench) -> str:
    """Runs what is missing, and tells of all of it."""
    rows = []
    for left in GENERAL_SETS:
        for start in (_of_all(bench, left), _of_the_others(bench, left)):
            bank = FeatureBank(start.model)
            before = _scored(bank, start.model, start.unseen)
            pairs = pair_table(before)
            for method in METHODS:
                differences, results = _runs(start, left, method, bank, before)
                # One row for a prompt: the models of all domains and seeds are judged on the same ones.
                d = np.mean(differences, axis=0)
                rows.append(
                    (
                        left,
                        start.trained_on,
                        method,
                        str(len(d)),
                        percent(accuracy(pairs.margins, pairs.prompts)),
                        difference_with_interval(float(d.mean()), interval_of(d)),
                        signed_percent(float(np.mean([r.general.difference or 0.0 for r in results]))),
                        signed_percent(float(np.mean([r.custom.difference or 0.0 for r in results]))),
                    )
                )
            bank.close()
    columns = (
        *("left out", "general model trained on", "method", "prompts", "before % there"),
        *("change there [95%]", "on the two sets seen", "custom gain"),
    )
    return "\n\n".join(
        [
            "## A general set that was left out",
            f"Customised within {POINTS:g} points of two general sets and measured on the third, on prompts that were "
            "neither trained, chosen nor certified on, by the general model either: where that is trained on all three "
            "sets, on what it left of this one; where on the other two, on the whole set, of which nothing saw "
            f"anything. Means over the four domains and {len(bench.seeds)} seeds.",
            to_markdown(Table("", columns, tuple(rows), n_labels=3)),
        ]
    )


def _of_all(bench: Bench, left: str) -> _Start:
    # What the general model was not trained on: the same prompts for every seed.
    model = RewardModel.from_pretrained(bench.general)
    parts = read_parts(model, bench.dsp, DOMAINS[0], bench.general_sets(), bench.seeds[0]).general[left]
    return _Start("all three", "without", bench, model, [p for part in (CHOOSE, CERTIFY, TEST) for p in parts[part]])


def _of_the_others(bench: Bench, left: str) -> _Start:
    folder = bench.out / f"general-without-{left}"
    if not (folder / "config.json").is_file():
        others = {name: split(bench.data / f"{name}.json")["train"] for name in GENERAL_SETS if name != left}
        fitted(others, bench.console).save_pretrained(folder, overwrite=True)
    custom = {p.prompt_key() for domain in DOMAINS for p in bench.of(bench.dsp, domain)}
    unseen = [p for p in ranking(bench.file(left)) if p.prompt_key() not in custom]
    model = RewardModel.from_pretrained(folder)
    return _Start("the other two", "never", replace(bench, general=str(folder)), model, unseen)


def _runs(
    start: _Start, left: str, method: str, bank: FeatureBank, before: Sequence[ScoredPreference]
) -> tuple[list[FloatArray], list[Customization]]:
    """Of every seed and domain the differences by prompt on the set left out, and the run."""
    bench, differences, results = start.bench, [], []
    for seed, domain in itertools.product(bench.seeds, DOMAINS):
        run = f"unseen/{domain}-{method}-{start.runs}-{left}-{seed}"
        sets = bench.general_sets(left)
        results.append(bench.customised(run, bench.dsp, domain, sets, POINTS, seed, method=method, keep_model=True))
        custom = RewardModel.from_pretrained(bench.out / run / "model")
        differences.append(prompt_differences(before, _scored(bank, custom, start.unseen)))
    return differences, results


def _scored(bank: FeatureBank, model: RewardModel, preferences: list[Preference]) -> list[ScoredPreference]:
    rewards = rewards_of(model, bank, preferences)
    return [ScoredPreference.of(p, r) for p, r in zip(preferences, rewards, strict=True)]
