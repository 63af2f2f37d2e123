"""A general set that the customisation never saw: each of the three is left out in turn."""

from __future__ import annotations

import itertools

import numpy as np

from experiments.budget.bench import Bench, rewards_of
from experiments.real_data import DOMAINS, GENERAL_SETS
from rewardsmith.customization.customize import read_parts
from rewardsmith.customization.parts import CERTIFY, CHOOSE, TEST
from rewardsmith.evaluation.budget import interval_of, prompt_differences
from rewardsmith.evaluation.pairs import FloatArray
from rewardsmith.evaluation.scored import ScoredPreference
from rewardsmith.modeling.features import FeatureBank
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.preferences.record import Preference
from rewardsmith.reporting.format import difference_with_interval, signed_percent
from rewardsmith.reporting.tables import Table, to_markdown

POINTS = 2.0
METHODS = ("anchored", "gated")
"""The best that can be carried elsewhere, and the one that may win by knowing a format."""


def section(bench: Bench) -> str:
    """Runs what is missing, and tells of all of it."""
    start = RewardModel.from_pretrained(bench.general)
    bank = FeatureBank(start)
    rows = []
    for left in GENERAL_SETS:
        sets = bench.general_sets(left)
        # What the general model was not trained on: the same prompts for every seed.
        parts = read_parts(start, bench.dsp, DOMAINS[0], bench.general_sets(), bench.seeds[0]).general[left]
        unseen = [p for part in (CHOOSE, CERTIFY, TEST) for p in parts[part]]
        for method in METHODS:
            differences, results = [], []
            for seed, domain in itertools.product(bench.seeds, DOMAINS):
                run = f"unseen/{domain}-{method}-without-{left}-{seed}"
                results.append(
                    bench.customised(run, bench.dsp, domain, sets, POINTS, seed, method=method, keep_model=True)
                )
                custom = RewardModel.from_pretrained(bench.out / run / "model")
                differences.append(_difference(bank, custom, unseen))
            # One row for a prompt: the models of all domains and seeds are judged on the same ones.
            d = np.mean(differences, axis=0)
            rows.append(
                (
                    left,
                    method,
                    str(len(d)),
                    difference_with_interval(float(d.mean()), interval_of(d)),
                    signed_percent(float(np.mean([r.general.difference or 0.0 for r in results]))),
                    signed_percent(float(np.mean([r.custom.difference or 0.0 for r in results]))),
                )
            )
    columns = ("left out", "method", "prompts", "general there [95%]", "on the two sets seen", "custom gain")
    return "\n\n".join(
        [
            "## A general set that the customisation never saw",
            f"Customised within {POINTS:g} points of two general sets and measured on the third, whose prompts were "
            f"neither trained, chosen nor certified on (the general model was trained on others of it); means over the "
            f"four domains and {len(bench.seeds)} seeds.",
            to_markdown(Table("", columns, tuple(rows), n_labels=2)),
        ]
    )


def _difference(bank: FeatureBank, custom: RewardModel, preferences: list[Preference]) -> FloatArray:
    """By prompt, on a set that has one pair for each."""
    before, after = (
        [ScoredPreference.of(p, r) for p, r in zip(preferences, rewards_of(m, bank, preferences), strict=True)]
        for m in (bank.model, custom)
    )
    return prompt_differences(before, after)
