"""Other tastes than the four domains: factual answers, refusals, literary prose."""

from __future__ import annotations

from experiments.budget.bench import Bench
from experiments.budget.front import runs_table
from experiments.real_data import ranking
from rewardsmith.preferences.mixing import take_preferences
from rewardsmith.reporting.tables import to_markdown

TASTES = ("qa_feedback", "xstest", "creative_writing")
MOST = 600
"""Preferences of each: their texts are long."""
POINTS = 2.0


def section(bench: Bench) -> str:
    """Runs what is missing, and tells of all of it."""
    runs = {}
    for taste in TASTES:
        read = ranking(bench.file(taste))
        custom = bench.written(take_preferences(read, min(MOST, len(read))), taste)
        for seed in bench.seeds:
            runs[taste, seed] = bench.customised(
                f"tastes/{taste}-{seed}", custom, taste, bench.general_sets(), POINTS, seed, method="anchored"
            )
    return "\n\n".join(
        [
            "## Other tastes",
            f"At most {MOST} preferences of each, method anchored, budget {POINTS:g} points.",
            to_markdown(runs_table("taste", runs)),
        ]
    )
