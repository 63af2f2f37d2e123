"""Verdicts: did a model lose no more than a budget against another, on the same preferences?

Stands on the paired comparison and the tests of `betting`; knows nothing of how the two models came about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np

from rewardsmith.errors import UserError, nearest
from rewardsmith.evaluation.betting import DEFAULT_SPREAD, Spread, loss_bound, rejects_loss, trinomial_p_value
from rewardsmith.evaluation.calibration import sigmoid
from rewardsmith.evaluation.compare import matched
from rewardsmith.evaluation.pairs import FloatArray, pair_table
from rewardsmith.evaluation.ranking import correctness
from rewardsmith.evaluation.result import Decision, Verdict
from rewardsmith.evaluation.scored import ScoredPreference
from rewardsmith.evaluation.statistics import Interval, cluster_bootstrap
from rewardsmith.preferences.splitting import hash_share

Metric = Literal["accuracy", "brier"]

POOLED = "all general sets"
"""Name of all sets together, every prompt counting once."""

Scored = Mapping[str, Sequence[ScoredPreference]]


@dataclass(frozen=True)
class Budgets:
    """The largest losses allowed, as shares (0.01 is one point): of all sets together, and of single ones."""

    pooled: float | None
    sets: Mapping[str, float]

    def for_sets(self, names: Sequence[str]) -> dict[str, float]:
        """Budget by name, the pooled one first.

        Raises:
            UserError: a set that is not there.
        """
        for name in self.sets:
            if name not in names:
                raise UserError(
                    f"--budget {name}=...: there is no set {name!r}{nearest(name, names)}: {', '.join(names)}"
                )
        return ({POOLED: self.pooled} if self.pooled is not None else {}) | dict(self.sets)


def parse_budgets(texts: Sequence[str]) -> Budgets:
    """`1.0` (all sets together) and `set=2.0` as budgets; raises UserError for anything else."""
    pooled: float | None = None
    sets: dict[str, float] = {}
    for text in texts:
        name, _, number = text.rpartition("=")
        try:
            points = float(number)
        except ValueError:
            raise UserError(f"--budget {text}: give points of accuracy, such as 1.0, or set=2.0") from None
        if not 0 < points <= 100:
            raise UserError(f"--budget {text}: a budget is above 0 and at most 100 points")
        if name in sets or (not name and pooled is not None):
            raise UserError(f"--budget {text}: given twice; give one for all sets together and one for a single set")
        if name:
            sets[name] = points / 100
        else:
            pooled = points / 100
    if pooled is None and not sets:
        raise UserError("--budget is missing; give the points of accuracy that may be lost, such as 1.0")
    return Budgets(pooled, sets)


@dataclass(frozen=True)
class Question:
    """What is asked of two models: the budgets, how sure the answer is to be (percent), and what counts."""

    budgets: Budgets
    confidence: float = 95.0
    metric: Metric = "accuracy"

    @classmethod
    def parse(cls, budgets: Sequence[str], confidence: float = 95.0, metric: str = "accuracy") -> Question:
        """From what stands on a command line. Raises UserError for what is not possible."""
        if metric not in get_args(Metric):
            raise UserError(f"--metric {metric}: choose {' or '.join(get_args(Metric))}")
        if not 50 <= confidence < 100:
            raise UserError(f"--confidence {confidence:g}: give a percentage from 50 to below 100, such as 95")
        return cls(parse_budgets(budgets), confidence, cast(Metric, metric))

    @property
    def alpha(self) -> float:
        """The error rate."""
        return 1 - self.confidence / 100


def prompt_differences(
    before: Sequence[ScoredPreference], after: Sequence[ScoredPreference], metric: Metric = "accuracy"
) -> FloatArray:
    """(n,) after minus before for each prompt, in [-1, 1], higher is better; in an order drawn by the prompts' hash."""
    both, _ = matched(after, before, "general")
    tables = [pair_table(side) for side in ([a for a, _ in both], [b for _, b in both])]
    value = correctness if metric == "accuracy" else _brier
    differences = value(tables[0].margins) - value(tables[1].margins)
    prompts = tables[0].prompts
    sums, counts = np.bincount(prompts, weights=differences), np.bincount(prompts)
    keys = list(dict.fromkeys(a.preference.prompt_key() for a, _ in both if a.preference.pairs()))
    order = sorted(range(len(keys)), key=lambda k: hash_share(f"order\0{keys[k]}"))
    result: FloatArray = (sums / counts)[order]
    return result


def with_pooled(scored: Scored) -> dict[str, Sequence[ScoredPreference]]:
    """The sets, and all of them together."""
    return {**scored, POOLED: [record for records in scored.values() for record in records]}


def interval_of(differences: FloatArray) -> Interval | None:
    """The bootstrap interval of a mean of differences, one for each prompt."""
    n = len(differences)
    return cluster_bootstrap(differences, np.arange(n), np.ones(n)) if n else None


def judge(
    name: str,
    before: Sequence[ScoredPreference],
    after: Sequence[ScoredPreference],
    budget: float,
    question: Question,
    spread: Spread = DEFAULT_SPREAD,
) -> Verdict:
    """Whether `after` lost no more than `budget` against `before` on these preferences.

    `within` and `exceeded` are each wrong with a chance of at most 1 - confidence, in finite samples.
    """
    d = prompt_differences(before, after, question.metric)
    decision: Decision = "undecided"
    if len(d) and rejects_loss(d, budget, question.alpha, spread):
        decision = "within"
    elif len(d) and rejects_loss(-d, -budget, question.alpha, spread):
        decision = "exceeded"
    return Verdict(
        set=name,
        budget=budget,
        confidence=question.confidence,
        metric=question.metric,
        verdict=decision,
        bound=loss_bound(d, question.alpha, spread) if len(d) else 1.0,
        difference=float(d.mean()) if len(d) else None,
        ci95=interval_of(d),
        trinomial_p=trinomial_p_value(d, budget) if question.metric == "accuracy" else None,
        n_prompts=len(d),
        flipped=float((d != 0).mean()) if len(d) else None,
    )


def judge_sets(
    before: Scored, after: Scored, question: Question, spreads: Mapping[str, Spread] | None = None
) -> list[Verdict]:
    """A verdict for every budget: that on all sets together, and those on single ones.

    Args:
        before, after: the records of each set under either model.
        spreads: what is known beforehand, by the budget's name.
    """
    budgets = question.budgets.for_sets(list(before))
    before, after = with_pooled(before), with_pooled(after)
    return [
        judge(name, before[name], after[name], budget, question, (spreads or {}).get(name, DEFAULT_SPREAD))
        for name, budget in budgets.items()
    ]


def overall(verdicts: Sequence[Verdict]) -> Decision:
    """All must hold at once: exceeded if one is, within if all are. That needs no correction (intersection-union)."""
    found = {v.verdict for v in verdicts}
    if "exceeded" in found:
        return "exceeded"
    return "within" if found == {"within"} else "undecided"


def bound_after_walk(verdict: Verdict, *, whole: bool) -> float:
    """Loss that is excluded for the last candidate within the budget of a walk along a path, in (-1, 1].

    The same data decided where the walk ended, and so which candidate this is: all that they still prove of it is the
    budget. Its own bound is too small in nearly twice as many runs as the error rate allows where a safe candidate
    comes first and one near the budget second. Where the `whole` path passed nothing was decided, and the walk goes
    on: with the last candidate, to smaller and smaller losses until one is not excluded.
    """
    return verdict.bound if whole else verdict.budget


def _brier(margins: FloatArray) -> FloatArray:
    return 1 - (1 - sigmoid(margins)) ** 2
