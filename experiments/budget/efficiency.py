"""(c) Data efficiency: how many custom and how many general preferences a customisation needs."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from experiments.budget.bench import Bench, kept_by, mean_and_error, points_with_error
from experiments.real_data import DOMAINS
from rewardsmith.evaluation.customization import Customization
from rewardsmith.preferences.mixing import take_preferences
from rewardsmith.preferences.reading import load_preferences
from rewardsmith.preferences.splitting import hash_share
from rewardsmith.reporting.tables import Table, to_markdown

CUSTOM = (25, 50, 100, 200, None)
"""Custom preferences in hand; None is all."""
SHARES = (0.25, 0.5, 1.0)
"""Of the general prompts."""
POINTS = 2.0
METHOD = "gated"
"""What (a) mostly chose; dozens of runs on one reading of the features."""


def section(bench: Bench) -> str:
    """Runs what is missing, and tells of all of it."""
    found: dict[tuple[float, int | None], list[Customization]] = defaultdict(list)
    for share in SHARES:
        sets = {name: _general(bench, name, share) for name in bench.general_sets()}
        for size in CUSTOM:
            for domain in DOMAINS:
                for seed in bench.seeds:
                    name = f"efficiency/{domain}-{size or 'all'}-{share:g}-{seed}"
                    custom = _custom(bench, domain, size)
                    found[share, size].append(bench.customised(name, custom, domain, sets, POINTS, seed, method=METHOD))
    rows = []
    for (_, size), runs in found.items():
        kept = kept_by(runs)
        certify = [sum(parts.get("certify", 0) for parts in r.parts.values()) for r in runs]
        rows.append(
            (
                f"{np.mean(certify):.0f}",
                "all" if size is None else str(size),
                kept.within,
                *(points_with_error(mean_and_error(values)) for values in (kept.gains, kept.free, kept.general)),
            )
        )
    columns = (
        *("general prompts to certify", "custom preferences", "within budget", "custom gain", "without a budget"),
        "general",
    )
    return "\n\n".join(
        [
            "## (c) Data efficiency",
            f"Method {METHOD}, budget {POINTS:g} points, means over four domains and {len(bench.seeds)} seeds, test "
            "parts (a quarter of the custom preferences in hand: few prompts where these are few); ± is the standard "
            "error over the runs.",
            to_markdown(Table("", columns, tuple(rows))),
        ]
    )


def _general(bench: Bench, name: str, share: float) -> str:
    """A general set, or all preferences of a share of its prompts: smaller shares lie within larger ones."""
    if share == 1:
        return bench.file(name)
    kept = [p for p in load_preferences(bench.file(name)).preferences if hash_share(p.prompt_key()) < share]
    return bench.written(kept, f"{name}-{share:g}")


def _custom(bench: Bench, domain: str, size: int | None) -> str:
    """So many of a domain's preferences, or its whole file."""
    if size is None:
        return bench.dsp
    return bench.written(take_preferences(bench.of(bench.dsp, domain), size), f"{domain}-{size}")
