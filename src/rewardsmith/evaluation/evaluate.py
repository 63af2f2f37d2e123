"""From rewards to the result: the figures of every set and of its domains, for one model or several.

It knows no model: a scorer is any callable, see `scored`. Nothing is read or written.

    result = evaluate_sets("my-model", scorer, {"academy": preferences})
    result.sets["academy"].accuracy
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rewardsmith.evaluation.baselines import ShortcutMemory, Verdicts
from rewardsmith.evaluation.budget import Question, judge_sets
from rewardsmith.evaluation.calibration import margin_histogram, reliability
from rewardsmith.evaluation.compare import compare_all
from rewardsmith.evaluation.figures import Options, measure
from rewardsmith.evaluation.pairs import pair_table, prompt_weights
from rewardsmith.evaluation.result import CalibrationBin, EvaluationResult, Figures, Histogram, ModelResult, SetResult
from rewardsmith.evaluation.scored import ScoredPreference, Scorer, score_preferences, score_sets
from rewardsmith.preferences.record import Preference
from rewardsmith.preferences.splitting import GroupBy


def evaluate_sets(
    model_name: str,
    scorer: Scorer,
    sets: Mapping[str, Sequence[Preference]],
    *,
    baselines: bool = True,
    cluster: GroupBy = "prompt",
    seed: int = 0,
) -> ModelResult:
    """Scores the sets and sums them up; take `score_sets` and `summarise` apart to keep the rewards."""
    return summarise(model_name, score_sets(scorer, sets), baselines=baselines, cluster=cluster, seed=seed)


def summarise(
    model_name: str,
    scored: Mapping[str, Sequence[ScoredPreference]],
    *,
    baselines: bool = True,
    cluster: GroupBy = "prompt",
    seed: int = 0,
) -> ModelResult:
    """The result of one model from the records of each set. `cluster` is the unit that intervals resample."""
    return _model_result(model_name, scored, Options(baselines, cluster, seed), ShortcutMemory())


def summarise_models(
    scored: Mapping[str, Mapping[str, Sequence[ScoredPreference]]],
    *,
    reference: str | None = None,
    baselines: bool = True,
    cluster: GroupBy = "prompt",
    seed: int = 0,
) -> EvaluationResult:
    """The results of several models and their comparisons; `scored` goes from model to set to records.

    The shortcuts of a set are learnt once for all models. With a `reference` the others are compared with it alone.
    """
    options, memory = Options(baselines, cluster, seed), ShortcutMemory()
    models = [_model_result(name, sets, options, memory) for name, sets in scored.items()]
    comparisons = compare_all(scored, reference=reference, cluster=cluster, seed=seed)
    return EvaluationResult(models=models, comparisons=comparisons)


def evaluate_models(
    scorers: Mapping[str, Scorer],
    sets: Mapping[str, Sequence[Preference]],
    *,
    baselines: bool = True,
    cluster: GroupBy = "prompt",
    against: tuple[str, Question] | None = None,
    seed: int = 0,
) -> EvaluationResult:
    """Several models on several sets; each scores all sets in one call, so that it can run a text only once.

    Args:
        against: the scorer that the one other must not lose to, and what is asked: adds the verdicts.
    """
    flat = [p for preferences in sets.values() for p in preferences]
    scored = {}
    for model, scorer in scorers.items():
        records = iter(score_preferences(scorer, flat))
        scored[model] = {name: [next(records) for _ in preferences] for name, preferences in sets.items()}
    reference = against[0] if against else None
    result = summarise_models(scored, reference=reference, baselines=baselines, cluster=cluster, seed=seed)
    if against is None:
        return result
    (other,) = set(scored) - {against[0]}
    return result.model_copy(update={"verdicts": judge_sets(scored[against[0]], scored[other], against[1])})


def _model_result(
    model_name: str, scored: Mapping[str, Sequence[ScoredPreference]], options: Options, memory: ShortcutMemory
) -> ModelResult:
    sets = {}
    for name, records in scored.items():
        by_domain: dict[str, list[ScoredPreference]] = {}
        for record in records:
            by_domain.setdefault(record.preference.domain, []).append(record)
        verdicts = {
            domain: memory.verdicts((name, domain), [r.preference for r in members]) if options.baselines else []
            for domain, members in by_domain.items()
        }
        sets[name] = _set_result(by_domain, verdicts, options)
    return ModelResult(model=model_name, sets=sets)


def _set_result(
    by_domain: Mapping[str, Sequence[ScoredPreference]], verdicts: Mapping[str, Sequence[Verdicts]], options: Options
) -> SetResult:
    """A set's figures over all its preferences, and for each domain when there are several.

    The shortcuts are learnt within each domain, whose preferences may contradict another's about the same responses;
    over the whole set their verdicts are averaged like the model's.
    """
    domains = {name: measure(records, verdicts[name], options) for name, records in by_domain.items()}
    scored = [record for records in by_domain.values() for record in records]
    if len(domains) == 1:
        overall = next(iter(domains.values()))
    else:
        overall = measure(scored, [v for name in by_domain for v in verdicts[name]], options)
    table = pair_table(scored, options.cluster)
    weights = prompt_weights(table.prompts)
    bins = reliability(table.margins, weights, table.clusters)
    edges, counts = margin_histogram(table.margins)
    mean_accuracy, mean_notes = _mean_domain_accuracy(domains)
    return SetResult(
        **{**dict(overall), "notes": overall.notes + mean_notes},
        mean_domain_accuracy=mean_accuracy,
        domains=domains if len(domains) > 1 else {},
        calibration=[CalibrationBin(**vars(b)) for b in bins],
        margins=Histogram(edges=edges, counts=counts),
    )


def _mean_domain_accuracy(domains: Mapping[str, Figures]) -> tuple[float | None, list[str]]:
    """The plain mean of the domains' accuracies; a mean of only some of them would be another figure."""
    accuracies = [figures.accuracy for figures in domains.values() if figures.accuracy is not None]
    if len(accuracies) == len(domains) > 0:
        return float(np.mean(accuracies)), []
    missing = [name for name, figures in domains.items() if figures.accuracy is None]
    return None, [f"mean_domain_accuracy is undefined: no ranked pair in {', '.join(missing)}"] if accuracies else []
