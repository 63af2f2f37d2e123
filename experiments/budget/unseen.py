"""A general set that the customisation never saw: each of the three is left out in turn."""

from __future__ import annotations

import numpy as np

from experiments.budget.bench import DOMAINS, GENERAL, Bench
from rewardsmith.customization.customize import read_parts
from rewardsmith.customization.parts import CERTIFY, CHOOSE, TEST
from rewardsmith.evaluation.budget import interval_of, prompt_differences
from rewardsmith.evaluation.pairs import FloatArray
from rewardsmith.evaluation.scored import ScoredPreference
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.preferences.record import Preference
from rewardsmith.reporting.format import difference_with_interval, signed_percent
from rewardsmith.reporting.tables import Table, to_markdown

POINTS = 2.0


def section(bench: Bench) -> str:
    """Runs what is missing, and tells of all of it."""
    start = RewardModel.from_pretrained(bench.general)
    seed = bench.seeds[0]
    rows = []
    for left in GENERAL:
        differences, gains, seen = [], [], []
        for domain in DOMAINS:
            run = f"unseen/{domain}-without-{left}-{seed}"
            result = bench.customised(run, bench.dsp, domain, bench.general_sets(left), POINTS, seed, keep_model=True)
            parts = read_parts(start, bench.dsp, domain, bench.general_sets(), seed).general[left]
            unseen = [p for part in (CHOOSE, CERTIFY, TEST) for p in parts[part]]
            differences.append(_difference(start, RewardModel.from_pretrained(bench.out / run / "model"), unseen))
            gains.append(result.custom.difference or 0.0)
            seen.append(result.general.difference or 0.0)
        # One row for a prompt: the four domains' models are judged on the same ones.
        d = np.mean(differences, axis=0)
        rows.append(
            (
                left,
                str(len(d)),
                difference_with_interval(float(d.mean()), interval_of(d)),
                signed_percent(float(np.mean(seen))),
                signed_percent(float(np.mean(gains))),
            )
        )
    columns = ("left out", "prompts", "general there [95%]", "on the two sets seen", "custom gain")
    return "\n\n".join(
        [
            "## A general set that was never seen",
            f"Customised within {POINTS:g} points of two general sets and measured on the third, whose prompts were "
            f"neither trained, chosen nor certified on (the general model was trained on others of it); mean over the "
            f"four domains, seed {seed}.",
            to_markdown(Table("", columns, tuple(rows))),
        ]
    )


def _difference(general: RewardModel, custom: RewardModel, preferences: list[Preference]) -> FloatArray:
    before, after = (
        [ScoredPreference.of(p, r) for p, r in zip(preferences, model.score_preferences(preferences), strict=True)]
        for model in (general, custom)
    )
    return prompt_differences(before, after)
