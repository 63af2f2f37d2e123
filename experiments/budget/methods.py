"""(a) Every method, those that train the backbone too, on one domain, from a portable general model."""

from __future__ import annotations

from experiments.budget.bench import Bench
from experiments.budget.front import methods_table, places, plot_front, runs_table, summary
from rewardsmith.errors import UserError
from rewardsmith.reporting.tables import to_markdown

DOMAIN = "entertainment"
"""The one with most to gain, so that methods can be told apart."""
_POINTS = 2.0


def section(bench: Bench) -> str:
    """Runs what is missing, and tells of all of it.

    Raises:
        UserError: the general model is none that can be trained further.
    """
    if not bench.portable:
        raise UserError(
            f"--piece methods: {bench.general} cannot be trained on; give --portable a model that `train` made"
        )
    runs = {
        (DOMAIN, seed): bench.customised(
            f"methods/{DOMAIN}-{seed}", bench.dsp, DOMAIN, bench.general_sets(), _POINTS, seed, bf16=True
        )
        for seed in bench.seeds
    }
    found = places(runs.values())
    picture = plot_front(found, [_POINTS], bench.images / "budget_methods.png")
    seconds = sum(r.seconds for r in runs.values())
    return "\n\n".join(
        [
            "## (a) Every method, from a portable general model",
            f"One domain, {DOMAIN}; training under bfloat16 autocast, {seconds / 60:.0f} minutes in all.",
            to_markdown(runs_table("domain", runs)),
            summary(_POINTS, list(runs.values())),
            "Each method's path on the choosing parts, mean over the runs; where a method has several paths, the mean "
            "over them.",
            to_markdown(methods_table(found)),
            f"![methods](../images/{picture.name})",
        ]
    )
