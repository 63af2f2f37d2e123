"""Two models on the same pairs: how much better is one, and could it be chance?

Stands on the pair table and the statistics alone; knows nothing of how the rewards came about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rewardsmith.errors import UserError
from rewardsmith.evaluation.pairs import pair_table, prompt_weights
from rewardsmith.evaluation.ranking import correctness, mean_over_prompts
from rewardsmith.evaluation.result import Comparison
from rewardsmith.evaluation.scored import ScoredPreference
from rewardsmith.evaluation.statistics import cluster_bootstrap, sign_flip_p_value
from rewardsmith.preferences.splitting import GroupBy


def compare_models(
    a_scored: Sequence[ScoredPreference],
    b_scored: Sequence[ScoredPreference],
    *,
    set_name: str,
    names: tuple[str, str] = ("a", "b"),
    cluster: GroupBy = "prompt",
    seed: int = 0,
) -> Comparison:
    """The paired difference of accuracy, a minus b, over the preferences that both models scored.

    The two lists may be in different order. Raises UserError unless they hold the same preferences.
    """
    both, n_left_out = matched(a_scored, b_scored, set_name)
    a_table = pair_table([a for a, _ in both], cluster)
    b_table = pair_table([b for _, b in both], cluster)
    weights = prompt_weights(a_table.prompts)
    differences = correctness(a_table.margins) - correctness(b_table.margins)
    ci95 = cluster_bootstrap(differences, a_table.clusters, weights, seed=seed)
    p_value = sign_flip_p_value(differences, a_table.clusters, weights, seed=seed)
    notes = []
    if n_left_out:
        notes.append(f"{n_left_out} preferences left out: a model gave no rewards for them")
    if not a_table.n_pairs:
        notes.append("difference, ci95 and p_value are undefined: no pair was scored by both models")
    elif a_table.n_clusters < 2:
        notes.append(f"ci95 and p_value are undefined: all pairs belong to one {cluster}")
    elif ci95 is None:
        notes.append(f"ci95 is undefined: the difference is the same for every {cluster}")
    return Comparison(
        set=set_name,
        model_a=names[0],
        model_b=names[1],
        difference=mean_over_prompts(differences, a_table.prompts),
        ci95=ci95,
        p_value=p_value,
        n_prompts=a_table.n_prompts,
        n_pairs=a_table.n_pairs,
        n_left_out=n_left_out,
        notes=notes,
    )


def compare_all(
    scored: Mapping[str, Mapping[str, Sequence[ScoredPreference]]],
    *,
    reference: str | None = None,
    cluster: GroupBy = "prompt",
    seed: int = 0,
) -> list[Comparison]:
    """Every two models on every set that both have, the later one minus the earlier; `scored` goes from model to set
    to records. With a `reference`, each other model is compared with it alone."""
    earlier = [reference] if reference is not None else list(scored)
    names = [(b, a) for k, a in enumerate(earlier) for b in list(scored)[(0 if reference is not None else k + 1) :]]
    return [
        compare_models(scored[b][name], scored[a][name], set_name=name, names=(b, a), cluster=cluster, seed=seed)
        for b, a in names
        if a != b
        for name in scored[b]
        if name in scored[a]
    ]


def matched(
    a_scored: Sequence[ScoredPreference], b_scored: Sequence[ScoredPreference], set_name: str
) -> tuple[list[tuple[ScoredPreference, ScoredPreference]], int]:
    """Records of the same preference side by side, without those that failed under either model; and their number."""
    a_sorted, b_sorted = (sorted(s, key=lambda r: (r.preference.id, r.preference.domain)) for s in (a_scored, b_scored))
    if len(a_sorted) != len(b_sorted):
        raise UserError(
            f"set '{set_name}': one model has {len(a_sorted)} preferences, the other {len(b_sorted)}; "
            "score both models on the same file"
        )
    for a, b in zip(a_sorted, b_sorted, strict=True):
        if a.preference != b.preference:
            raise UserError(
                f"set '{set_name}': preference '{a.preference.id}' of one model meets another record "
                f"'{b.preference.id}' of the other; score both models on the same file"
            )
    both = [
        (a, b)
        for a, b in zip(a_sorted, b_sorted, strict=True)
        if a.usable_rewards() is not None and b.usable_rewards() is not None
    ]
    return both, len(a_sorted) - len(both)
