"""The choice: what every candidate gains and costs on the choosing part, and the path along which it is certified.

Everything here looks at the choosing part alone, so the path is fixed before the certify part is opened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rewardsmith.customization.candidates import Option
from rewardsmith.evaluation.betting import Spread
from rewardsmith.evaluation.budget import POOLED, Question, Scored, prompt_differences, with_pooled
from rewardsmith.evaluation.pairs import FloatArray
from rewardsmith.evaluation.scored import ScoredPreference
from rewardsmith.preferences.record import Preference

LONGEST = 12
"""Candidates on a path: enough that the last one within budget is near the best."""
_CAUTION = 1.0
"""Standard errors by which a cost is taken to be larger than it was seen."""


@dataclass(frozen=True)
class Judged:
    """A candidate on the choosing part: its gain, its change on all general sets, and how near it is to the budgets."""

    option: Option
    custom: float
    general: float
    risk: float
    """The largest share of a budget that it may have used up; 1 is all of it."""
    spreads: dict[str, Spread]

    @property
    def name(self) -> str:
        """Of the candidate."""
        return self.option.name


def scored_by(option: Option, sets: Mapping[str, Sequence[Preference]]) -> dict[str, list[ScoredPreference]]:
    """Every set's records under a candidate."""
    rewards = iter(option.rewards([p for preferences in sets.values() for p in preferences]))
    return {name: [ScoredPreference.of(p, next(rewards)) for p in preferences] for name, preferences in sets.items()}


def judge_option(
    option: Option,
    custom: tuple[Sequence[ScoredPreference], Sequence[ScoredPreference]],
    general: tuple[Scored, Scored],
    question: Question,
) -> Judged:
    """A candidate's figures from what the general model (first) and itself (second) gave."""
    before, after = (with_pooled(scored) for scored in general)
    budgets = question.budgets.for_sets(list(general[0]))
    found = {name: prompt_differences(before[name], after[name], question.metric) for name in {**budgets, POOLED: 0}}
    risk = max(_risk(found[name], budget) for name, budget in budgets.items())
    spreads = {name: Spread.of(found[name]) for name in budgets}
    gain = prompt_differences(*custom)
    return Judged(option, float(gain.mean()), float(found[POOLED].mean()), risk, spreads)


def path_of(judged: Sequence[Judged]) -> list[Judged]:
    """The candidates that gain more than every safer one, from the safest outwards; thinned to `LONGEST`.

    Of candidates that flip nothing on the choosing part all are as safe for what was seen: there the weaker comes
    first. Beginning with the one that gains most ends many a walk at its first step.
    """
    path: list[Judged] = []
    best = 0.0
    for candidate in sorted(judged, key=lambda c: (c.risk, c.option.strength, -c.custom)):
        if candidate.custom > best:
            path.append(candidate)
            best = candidate.custom
    if len(path) > LONGEST:
        kept = np.unique(np.linspace(0, len(path) - 1, LONGEST).round().astype(int))
        path = [path[k] for k in kept]
    return path


def _risk(d: FloatArray, budget: float) -> float:
    """Loss and a standard error over the budget. A flip too few to be seen counts as half a one, and a gain as nothing:
    the largest of many gains on few prompts is luck."""
    error = np.sqrt(max(float((d**2).mean()), 0.5 / len(d)) / len(d))
    return float((_CAUTION * error - min(d.mean(), 0.0)) / budget)
