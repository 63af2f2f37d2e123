"""(a) All methods on the four domains: what `customize` keeps within a budget, and the front of gain against cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.budget.bench import Bench, kept_by, mean_and_error, points_with_error
from experiments.real_data import DOMAINS
from rewardsmith.evaluation.customization import Candidate, Customization
from rewardsmith.reporting import style
from rewardsmith.reporting.format import decimal, difference_with_interval, percent, signed_percent
from rewardsmith.reporting.tables import Table, to_markdown

POINTS = (2.0, 1.0)

Runs = dict[tuple[str, int], Customization]
"""By domain and seed."""


class Place(NamedTuple):
    """A method's path at one strength, over all runs: mean gain and mean general change with their standard errors."""

    method: str
    strength: float
    custom: tuple[float, float]
    general: tuple[float, float]


def section(bench: Bench) -> str:
    """Runs what is missing, and tells of all of it."""
    parts = ["## (a) What a budget keeps, and the front of all methods"]
    by_budget = {points: runs_at(bench, points) for points in POINTS}
    for points, runs in by_budget.items():
        parts += [
            f"### A budget of {points:g}",
            to_markdown(runs_table("domain", runs)),
            summary(points, list(runs.values())),
        ]
    every = [run for runs in by_budget.values() for run in runs.values()]
    found = places(by_budget[POINTS[0]].values())
    picture = plot_front(found, POINTS, bench.images / "budget_front.png")
    sizes = "; ".join(f"{name} {' / '.join(str(n) for n in parts.values())}" for name, parts in every[0].parts.items())
    parts += [
        "### Every method",
        "Each method's path on the choosing parts, mean over the runs; where a method has several paths (ridges, "
        "pulls), the mean over them. Nothing was chosen for these rows, so none is flattered.",
        to_markdown(methods_table(found)),
        f"![front](../images/{picture.name})",
        f"Prompts by part, train / choose / certify / test, first run: {sizes}. "
        f"All runs took {sum(r.seconds for r in every) / 60:.0f} minutes, trainings and the reading of features with "
        "them where they were not kept from before.",
    ]
    return "\n\n".join(parts)


def runs_at(bench: Bench, points: float) -> Runs:
    """A run for every seed and domain."""
    return {
        (domain, seed): bench.customised(
            f"front/{domain}-{points:g}-{seed}",
            bench.dsp,
            domain,
            bench.general_sets(),
            points,
            seed,
            keep_model=points == POINTS[0],
        )
        for seed in bench.seeds
        for domain in DOMAINS
    }


def runs_table(first: str, runs: Mapping[tuple[str, int], Customization]) -> Table:
    """A row for each run; `first` names what the runs are told by, beside their seeds."""
    rows = []
    for (name, seed), r in runs.items():
        rows.append(
            (
                name,
                str(seed),
                f"{r.method} x {r.strength:g}",
                decimal(r.bound, 1),
                percent(r.custom.before),
                percent(r.custom.after),
                difference_with_interval(r.custom.difference, r.custom.ci95),
                signed_percent(r.unconstrained.difference if r.unconstrained else None),
                difference_with_interval(r.general.difference, r.general.ci95),
            )
        )
    return Table("", (first, *_COLUMNS), tuple(rows))


def summary(points: float, runs: Sequence[Customization]) -> str:
    """What the runs at one budget come to."""
    kept = kept_by(runs)
    share = "no gain to keep" if kept.share is None else f"{kept.share:.0%} of the gain without a budget"
    return (
        f"Within a budget of {points:g}: mean custom accuracy {percent(kept.after)} %, {share}; general accuracy "
        f"{signed_percent(float(np.mean(kept.general)))} points on the test parts; "
        f"{kept.within} runs found a model within budget."
    )


def places(runs: Iterable[Customization]) -> list[Place]:
    """Every method's path over all runs, from cheap methods to dear ones."""
    found: dict[tuple[str, float], list[list[Candidate]]] = defaultdict(list)
    for run in runs:
        own: dict[tuple[str, float], list[Candidate]] = defaultdict(list)
        for candidate in run.candidates:
            own[candidate.method, candidate.strength].append(candidate)
        for key, candidates in own.items():
            found[key].append(candidates)
    return [
        Place(
            method,
            strength,
            mean_and_error([float(np.mean([c.custom for c in g])) for g in groups]),
            mean_and_error([float(np.mean([c.general for c in g])) for g in groups]),
        )
        for (method, strength), groups in found.items()
    ]


def methods_table(found: Sequence[Place]) -> Table:
    """A row for each method at each strength."""
    rows = [(p.method, f"{p.strength:g}", points_with_error(p.custom), points_with_error(p.general)) for p in found]
    return Table("", ("method", "strength", "custom gain ± s.e.", "general ± s.e."), tuple(rows))


def plot_front(found: Sequence[Place], budgets: Sequence[float], path: Path) -> Path:
    """Mean gain against mean general change, a line for each method from the general model outwards."""
    figure = style.new_figure(7.6, 4.6)
    axes = figure.add_subplot()
    for k, method in enumerate(dict.fromkeys(p.method for p in found)):
        own = sorted((p for p in found if p.method == method), key=lambda p: p.strength)
        x, y = ([0.0, *(100 * getattr(p, axis)[0] for p in own)] for axis in ("general", "custom"))
        axes.plot(x, y, color=style.color(k), marker=style.marker(k), markersize=4, linewidth=1.4, label=method)
    for points in budgets:
        axes.axvline(-points, color="0.6", linewidth=0.8, linestyle=":")
    style.tidy(axes, "Custom gain against general change, choosing parts", "general, points", "custom, points")
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return style.write_png(figure, path)


_COLUMNS = (
    *("seed", "method", "bound, taken alone", "custom before %", "after %", "gain [95%]"),
    *("gain without a budget", "general, test part [95%]"),
)
