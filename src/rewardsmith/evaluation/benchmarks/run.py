"""One model on one suite: rewards, the score in the suite's own way, its rank, and prompts that were trained on.

Knows no model: a scorer is any callable, see `evaluation.scored`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rewardsmith.errors import RewardsmithError
from rewardsmith.evaluation.benchmarks.journal import score_with_journal
from rewardsmith.evaluation.benchmarks.leaderboard import rank_of
from rewardsmith.evaluation.benchmarks.result import BenchmarkResult
from rewardsmith.evaluation.benchmarks.scoring import figure, overall, sections
from rewardsmith.evaluation.benchmarks.suite import Item, Rewards, Suite
from rewardsmith.evaluation.scored import ScoredPreference, Scorer
from rewardsmith.preferences.record import content_hash


def run_suite(
    suite: Suite,
    items: Sequence[Item],
    scorer: Scorer,
    *,
    model: str,
    model_key: str = "",
    trained_on: Sequence[str] | None = None,
    journal: Path | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
    seed: int = 0,
) -> BenchmarkResult:
    """Scores all items of the suite.

    Args:
        trained_on: hashes of the prompts that the model was trained on; None where that is not known.
        journal: where rewards are kept, so that an interrupted run goes on; `model_key` says whose they are.

    Raises:
        RewardsmithError: the model gives no reward for an item; there is no score then.
    """
    preferences = [item.preference for item in items]
    scored, n_known = score_with_journal(scorer, preferences, journal, model_key, on_progress)
    rewards = _all_rewards(suite, scored)
    units = suite.units(items, rewards)
    whole = overall(suite, units, seed=seed)
    seen = set(trained_on) if trained_on is not None else None
    return BenchmarkResult(
        suite=suite.name,
        model=model,
        overall=whole,
        sections=sections(suite, units, seed=seed),
        details={name: figure(own, seed=seed) for name, own in suite.details(items, rewards).items()},
        n_rows=len(items),
        n_responses=sum(len(r) for r in rewards),
        fingerprint=content_hash([[p.prompt, p.responses] for p in preferences]),
        n_seen=None if seen is None else sum(content_hash(p.prompt_key()) in seen for p in preferences),
        rank=rank_of(suite.name, whole.score) if whole is not None else None,
        notes=[f"{n_known} of {len(items)} rows had their rewards in {journal}"] if n_known else [],
    )


def _all_rewards(suite: Suite, scored: Sequence[ScoredPreference]) -> list[Rewards]:
    """The rewards of every item, for a failure is not a wrong answer and a mean without it is not the score."""
    failed = [record for record in scored if record.rewards is None]
    if failed:
        raise RewardsmithError(
            f"the model gives no usable rewards for {len(failed)} of {len(scored)} rows of {suite.title}, first "
            f"{failed[0].preference.id} ({failed[0].error}): there is no score"
        )
    return [record.rewards for record in scored if record.rewards is not None]
