"""Scores with intervals from a suite's units: one weighted mean for a subset, a section, a detail and the whole.

Pure functions; knows no suite but through its interface.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from rewardsmith.evaluation.benchmarks.result import Figure, Section
from rewardsmith.evaluation.benchmarks.suite import Suite, Unit
from rewardsmith.evaluation.statistics import cluster_bootstrap


def figure(units: Sequence[Unit], *, seed: int = 0) -> Figure:
    """The weighted mean of the units, with the interval that resamples their clusters."""
    seen: dict[Hashable, int] = {}
    values, weights = np.array([u.value for u in units]), np.array([u.weight for u in units])
    clusters = np.array([seen.setdefault(u.cluster, len(seen)) for u in units], dtype=np.int64)
    return Figure(
        score=float((values * weights).sum() / weights.sum()),
        ci95=cluster_bootstrap(values, clusters, weights, seed=seed),
        n_prompts=len(seen),
    )


def sections(suite: Suite, units: Sequence[Unit], *, seed: int = 0) -> dict[str, Section]:
    """Every section of the suite, in its order."""
    found = {}
    for name, subsets in suite.sections.items():
        own = [u for u in units if u.section == name]
        parts = {subset: figure([u for u in own if u.subset == subset], seed=seed) for subset in subsets}
        found[name] = Section(**dict(figure(own, seed=seed)), subsets=parts if len(parts) > 1 else {})
    return found


def overall(suite: Suite, units: Sequence[Unit], *, seed: int = 0) -> Figure | None:
    """The suite's single figure, None where it has none."""
    if suite.overall is None:
        return None
    if suite.overall == "rows":
        return figure(units, seed=seed)
    mass = {name: sum(u.weight for u in units if u.section == name) for name in suite.sections}
    equal = [Unit(u.section, u.subset, u.value, u.weight / mass[u.section], u.cluster) for u in units]
    return figure(equal, seed=seed)
