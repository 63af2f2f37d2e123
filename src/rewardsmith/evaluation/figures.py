"""All figures of some scored preferences, with their interval, baselines and the notes that say what is undefined.

This is where the pure figures are put together. It knows no sets, domains or models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rewardsmith.evaluation.baselines import Verdicts, baseline_figures
from rewardsmith.evaluation.calibration import debiased_ece, negative_log_likelihood, plain_ece, squared_error
from rewardsmith.evaluation.pairs import PairTable, pair_table, prompt_weights
from rewardsmith.evaluation.ranking import (
    accuracy,
    accuracy_over_pairs,
    accuracy_where,
    correctness,
    kendall_tau_b,
    mean_over_prompts,
    reciprocal_rank,
)
from rewardsmith.evaluation.result import Baseline, Figures
from rewardsmith.evaluation.scored import ScoredPreference
from rewardsmith.evaluation.statistics import Interval, cluster_bootstrap
from rewardsmith.preferences.splitting import GroupBy

FEW_CLUSTERS = 20


@dataclass(frozen=True)
class Options:
    """Whether trivial baselines are measured too, what intervals resample, and their seed."""

    baselines: bool = True
    cluster: GroupBy = "prompt"
    seed: int = 0


def measure(scored: Sequence[ScoredPreference], verdicts: Sequence[Verdicts], options: Options) -> Figures:
    """All figures of these records; `verdicts` holds one entry a record, in the same order (none without baselines)."""
    table = pair_table(scored, options.cluster)
    weights = prompt_weights(table.prompts)
    ci95 = cluster_bootstrap(correctness(table.margins), table.clusters, weights, seed=options.seed)
    plain, plain_notes = _accuracy_without_plain(table)
    listwise, listwise_notes = _listwise(scored)
    ece = debiased_ece(table.margins, weights, table.clusters)
    baselines: dict[str, Baseline] = {}
    baseline_notes: list[str] = []
    if options.baselines:
        usable = [v for r, v in zip(scored, verdicts, strict=True) if r.usable_rewards() is not None]
        baselines, baseline_notes = baseline_figures(usable, table, seed=options.seed)
    notes = _pair_notes(table, ci95, ece, options.cluster)
    return Figures(
        n_preferences=table.n_preferences,
        n_pairs=table.n_pairs,
        n_prompts=table.n_prompts,
        n_ties=table.n_ties,
        n_identical=table.n_identical,
        n_failed=table.n_failed,
        n_reward_ties=int(np.sum(table.margins == 0)),
        accuracy=accuracy(table.margins, table.prompts),
        accuracy_pairs=accuracy_over_pairs(table.margins),
        accuracy_without_plain=plain,
        ci95=ci95,
        nll=mean_over_prompts(negative_log_likelihood(table.margins), table.prompts),
        ece=ece,
        ece_plain=plain_ece(table.margins, weights, table.clusters),
        brier=mean_over_prompts(squared_error(table.margins), table.prompts),
        mean_margin=mean_over_prompts(table.margins, table.prompts),
        mrr=listwise["mrr"],
        kendall_tau=listwise["kendall_tau"],
        baselines=baselines,
        notes=notes + plain_notes + listwise_notes + baseline_notes,
    )


def _accuracy_without_plain(table: PairTable) -> tuple[float | None, list[str]]:
    if not table.n_pairs:
        return None, []
    if not table.named.any():
        return None, ["accuracy_without_plain is undefined: the responses have no names"]
    keep = table.named & ~table.plain
    if not keep.any():
        return None, ["accuracy_without_plain is undefined: every named pair involves the plain answer"]
    n_unnamed = int(np.sum(~table.named))
    notes = [f"accuracy_without_plain leaves out {n_unnamed} pairs whose responses have no names"] if n_unnamed else []
    return accuracy_where(table.margins, table.prompts, keep), notes


def _listwise(scored: Sequence[ScoredPreference]) -> tuple[dict[str, float | None], list[str]]:
    """MRR and Kendall's tau, averaged over prompts, of the records with more than two responses."""
    values: dict[str, list[float]] = {"mrr": [], "kendall_tau": []}
    prompts: dict[str, list[int]] = {"mrr": [], "kendall_tau": []}
    seen: dict[str, int] = {}
    long = [(r.preference, w) for r in scored if (w := r.usable_rewards()) is not None and len(w) > 2]
    for preference, rewards in long:
        prompt = seen.setdefault(preference.prompt_key(), len(seen))
        found = {
            "mrr": reciprocal_rank(rewards, preference.scores, preference.pairs()),
            "kendall_tau": kendall_tau_b(np.array(rewards), np.array(preference.scores)),
        }
        for name, value in found.items():
            if value is not None:
                values[name].append(value)
                prompts[name].append(prompt)
    figures = {n: mean_over_prompts(np.array(values[n]), np.array(prompts[n], dtype=np.int64)) for n in values}
    if not long:
        return figures, ["mrr and kendall_tau are undefined: no scored preference has more than two responses"]
    left_out = {name: len(long) - len(values[name]) for name in values}
    reasons = {"mrr": "the best response has nothing to beat", "kendall_tau": "rewards or scores are constant"}
    notes = [f"{name} leaves out {n} of {len(long)} preferences: {reasons[name]}" for name, n in left_out.items() if n]
    return figures, notes


def _pair_notes(table: PairTable, ci95: Interval | None, ece: float | None, cluster: GroupBy) -> list[str]:
    """Why pair figures are undefined or to be read with care."""
    notes = []
    if table.n_failed:
        notes.append(f"{table.n_failed} of {table.n_preferences} preferences failed and are left out of all figures")
    if not table.n_pairs:
        return [*notes, "all figures of pairs are undefined: there is no pair that ranks anything"]
    if table.n_clusters < 2:
        notes.append(f"ci95 and ece are undefined: all pairs belong to one {cluster}")
    elif ci95 is None:
        notes.append(f"ci95 is undefined: every {cluster} has the same accuracy, so resampling shows no spread")
    elif table.n_clusters < FEW_CLUSTERS:
        notes.append(f"ci95 is rough: it rests on {table.n_clusters} {cluster}s only")
    if ece is None and table.n_clusters > 1:
        notes.append(f"ece is undefined: no bin of confidence holds two {cluster}s")
    if ece == 0:
        notes.append("ece is 0: no miscalibration can be told from noise")
    n_ties = int(np.sum(table.margins == 0))
    if n_ties:
        notes.append(f"{n_ties} of {table.n_pairs} pairs have equal rewards and count as half right")
    return notes
