"""How far raters agree beyond chance: Cohen's kappa for two, Krippendorff's alpha for any number. Pure.

Undefined figures are None: kappa and alpha have no value where chance alone would agree on everything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence

import numpy as np

Ratings = Sequence[Hashable | None]
"""One rater's verdicts on all items, None where it gave none."""


def cohens_kappa(a: Ratings, b: Ratings) -> float | None:
    """(p_o - p_e) / (1 - p_e) over the items that both rated (Cohen 1960)."""
    both = [(x, y) for x, y in zip(a, b, strict=True) if x is not None and y is not None]
    if not both:
        return None
    n = len(both)
    first, second = Counter(x for x, _ in both), Counter(y for _, y in both)
    expected = sum(first[k] * second[k] for k in first) / n**2
    observed = sum(x == y for x, y in both) / n
    return None if expected == 1.0 else (observed - expected) / (1.0 - expected)


def krippendorffs_alpha(ratings: Sequence[Ratings]) -> float | None:
    """1 - D_o / D_e for nominal verdicts of any number of raters, with gaps (Krippendorff 2011)."""
    pairs: Counter[tuple[Hashable, Hashable]] = Counter()
    for item in zip(*ratings, strict=True):
        given = [value for value in item if value is not None]
        for i, x in enumerate(given):
            for j, y in enumerate(given):
                if i != j:
                    pairs[x, y] += 1 / (len(given) - 1)  # type: ignore[assignment]
    totals: Counter[Hashable] = Counter()
    for (x, _), weight in pairs.items():
        totals[x] += weight
    n = sum(totals.values())
    if n <= 1:
        return None
    observed = sum(weight for (x, y), weight in pairs.items() if x != y)
    expected = sum(totals[x] * totals[y] for x in totals for y in totals if x != y) / (n - 1)
    return None if expected == 0 else 1.0 - observed / expected


def bootstrap_interval(
    figure: Callable[[list[Ratings]], float | None],
    ratings: Sequence[Ratings],
    clusters: Sequence[Hashable],
    *,
    seed: int = 0,
    n_resamples: int = 2000,
) -> tuple[float, float] | None:
    """95 % percentile interval of a figure of agreement, resampling clusters of items (their prompts).

    None with fewer than two clusters; resamples in which the figure is undefined are left out.
    """
    groups: Mapping[Hashable, list[int]] = _positions(clusters)
    if len(groups) < 2:
        return None
    rng, members = np.random.default_rng(seed), list(groups.values())
    found = []
    for _ in range(n_resamples):
        drawn = [k for g in rng.integers(len(members), size=len(members)) for k in members[g]]
        value = figure([[rater[k] for k in drawn] for rater in ratings])
        if value is not None:
            found.append(value)
    if not found:
        return None
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def _positions(clusters: Sequence[Hashable]) -> dict[Hashable, list[int]]:
    found: dict[Hashable, list[int]] = {}
    for position, cluster in enumerate(clusters):
        found.setdefault(cluster, []).append(position)
    return found
