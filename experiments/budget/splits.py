"""(a) Does it hold on other splits? The gated head alone, in seconds a run, so that many seeds can be drawn."""

from __future__ import annotations

import numpy as np

from experiments.budget.bench import Bench, mean_and_error, points_with_error
from experiments.budget.front import POINTS
from experiments.real_data import DOMAINS
from rewardsmith.evaluation.customization import NO_METHOD, Customization
from rewardsmith.reporting.format import percent
from rewardsmith.reporting.tables import Table, to_markdown

METHOD = "gated"


def section(bench: Bench) -> str:
    """Runs what is missing, and tells of all of it."""
    rows = [_row(points, _runs(bench, points)) for points in POINTS]
    columns = (
        *("budget, points", "within budget", "custom after %", "custom gain", "without a budget", "gain kept"),
        "general",
    )
    return "\n\n".join(
        [
            "## (a) On other splits",
            f"Method {METHOD}, four domains, each of seeds {', '.join(map(str, bench.seeds))} another split of all "
            "preferences; test parts, means over the runs ± standard error.",
            to_markdown(Table("", columns, tuple(rows))),
        ]
    )


def _runs(bench: Bench, points: float) -> list[Customization]:
    return [
        bench.customised(
            f"splits/{domain}-{points:g}-{seed}",
            bench.dsp,
            domain,
            bench.general_sets(),
            points,
            seed,
            method=METHOD,
        )
        for seed in bench.seeds
        for domain in DOMAINS
    ]


def _row(points: float, runs: list[Customization]) -> tuple[str, ...]:
    gains = [r.custom.difference or 0.0 for r in runs]
    free = [(r.unconstrained.difference or 0.0) if r.unconstrained else 0.0 for r in runs]
    return (
        f"{points:g}",
        f"{sum(r.method != NO_METHOD for r in runs)} of {len(runs)}",
        percent(float(np.mean([r.custom.after or 0.0 for r in runs]))),
        points_with_error(mean_and_error(gains)),
        points_with_error(mean_and_error(free)),
        f"{sum(gains) / sum(free):.0%}",
        points_with_error(mean_and_error([r.general.difference or 0.0 for r in runs])),
    )
