"""Scores with intervals from a suite's units: one weighted mean for a subset, a section, a detail and the whole.

Pure functions; knows no suite but through its interface.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from rewardsmith.evaluation.benchmarks.result import Figure, Section
from rewardsmith.evaluation.benchmarks.suite import Suite, Unit
from rewardsmith.evaluation.pairs import IntArray
from rewardsmith.evaluation.statistics import cluster_bootstrap, cluster_sums


def figure(units: Sequence[Unit], *, seed: int = 0) -> Figure:
    """The weighted mean of the units, with the interval that resamples their clusters.

    How many rows a subset has is the suite's choice and no chance: the interval is taken after every subset is moved to
    the common mean, so that only what varies within subsets widens it.
    """
    values, weights = np.array([u.value for u in units]), np.array([u.weight for u in units])
    clusters, subsets = _indices([u.cluster for u in units]), _indices([(u.section, u.subset) for u in units])
    score = float((values * weights).sum() / weights.sum())
    sums, masses = cluster_sums(values, subsets, weights)
    interval = cluster_bootstrap(values - (sums / masses)[subsets] + score, clusters, weights, seed=seed)
    if interval is not None:
        interval = max(interval[0], float(values.min())), min(interval[1], float(values.max()))
    return Figure(score=score, ci95=interval, n_prompts=len(np.unique(clusters)))


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


def _indices(keys: Sequence[Hashable]) -> IntArray:
    """Keys as indices in order of first appearance."""
    seen: dict[Hashable, int] = {}
    return np.array([seen.setdefault(key, len(seen)) for key in keys], dtype=np.int64)
