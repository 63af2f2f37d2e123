"""(a) Does it hold on other splits? The gated head alone, in seconds a run, so that many seeds can be drawn."""

from __future__ import annotations

from experiments.budget.bench import Bench, kept_by, mean_and_error, points_with_error
from experiments.budget.front import POINTS
from experiments.real_data import DOMAINS
from rewardsmith.evaluation.customization import Customization
from rewardsmith.reporting.format import UNDEFINED, percent
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
    kept = kept_by(runs)
    gains, free, general = (points_with_error(mean_and_error(v)) for v in (kept.gains, kept.free, kept.general))
    share = UNDEFINED if kept.share is None else f"{kept.share:.0%}"
    return f"{points:g}", kept.within, percent(kept.after), gains, free, share, general
