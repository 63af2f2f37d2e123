"""What a report shows beside the figures: learning curves, recipes, calibration, and the audit of the preferences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rewardsmith.customization.parts import CUSTOM, Parts
from rewardsmith.evaluation.calibration import debiased_ece, debiased_ece_interval, plain_ece, reliability
from rewardsmith.evaluation.customization import CalibrationChange, CurvePoint, LearningCurve, Reliability
from rewardsmith.evaluation.pairs import pair_table, prompt_weights
from rewardsmith.evaluation.result import CalibrationBin
from rewardsmith.evaluation.scored import ScoredPreference
from rewardsmith.preferences.audit import AuditReport, audit_preferences
from rewardsmith.reporting.metrics_file import MetricPoint, read_metrics

MOST_POINTS = 100
"""Of a learning curve: more than a picture shows, and a file that stays small."""


def curves_in(training: Path) -> list[LearningCurve]:
    """The learning curves of all runs below a folder, a curve for each stage; none where nothing was trained."""
    curves = []
    for file in sorted(training.rglob("metrics.jsonl")):
        points = read_metrics(file)
        for stage in dict.fromkeys(p.stage for p in points):
            kept = _thinned([p for p in points if p.stage == stage])
            curves.append(
                LearningCurve(
                    run=file.parent.relative_to(training).as_posix(),
                    stage=stage,
                    points=[CurvePoint(step=p.step, loss=p.loss, accuracy=p.accuracy) for p in kept],
                )
            )
    return curves


def _thinned(points: Sequence[MetricPoint]) -> list[MetricPoint]:
    """At most `MOST_POINTS` of them, the last among them: each loss kept is the mean of those that it stands for."""
    if len(points) <= MOST_POINTS:
        return list(points)
    kept = []
    for chunk in np.array_split(np.arange(len(points)), MOST_POINTS):
        members = [points[k] for k in chunk]
        losses = [p.loss for p in members if p.loss is not None]
        accuracy = {name: value for p in members for name, value in p.accuracy.items()}
        last = members[-1]
        kept.append(
            MetricPoint(last.stage, last.step, last.epoch, float(np.mean(losses)) if losses else None, accuracy)
        )
    return kept


def recipes_in(training: Path) -> dict[str, str]:
    """The resolved recipe, as YAML, of every run below a folder."""
    return {
        file.parent.relative_to(training).as_posix(): file.read_text(encoding="utf-8")
        for file in sorted(training.rglob("recipe.yaml"))
    }


def calibration_change(before: Sequence[ScoredPreference], after: Sequence[ScoredPreference]) -> CalibrationChange:
    """How far the rewards of both models can be read as probabilities, on the same preferences."""
    return CalibrationChange(before=_reliability(before), after=_reliability(after))


def _reliability(scored: Sequence[ScoredPreference]) -> Reliability:
    table = pair_table(scored)
    weights = prompt_weights(table.prompts)
    given = (table.margins, weights, table.clusters)
    return Reliability(
        ece=debiased_ece(*given),
        ece_ci95=debiased_ece_interval(*given),
        ece_plain=plain_ece(*given),
        bins=[CalibrationBin(**vars(b)) for b in reliability(*given)],
    )


def audits_of(parts: Parts) -> dict[str, AuditReport]:
    """The audit of every set, over all preferences that were used. What ranks nothing was left out of them before."""
    sets = {CUSTOM: parts.custom, **parts.general}
    return {
        name: audit_preferences([p for part in split.values() for p in part], splits=split)
        for name, split in sets.items()
    }
