"""What a budget of general ability costs and keeps, on the four DSP domains: `python -m experiments.budget`.

Every run is a `customize` run of its own folder, so that an interrupted experiment goes on where it was. The page is
made of their results alone.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from experiments.provenance import commit
from rewardsmith import customize
from rewardsmith.errors import RewardsmithError
from rewardsmith.evaluation.budget import Question
from rewardsmith.evaluation.customization import Customization
from rewardsmith.modeling.info import read_info
from rewardsmith.reporting.format import difference_with_interval, percent, signed_percent

DOMAINS = ("academy", "business", "entertainment", "literature")
GENERAL = ("helpful", "harmless", "webgpt")
_ROOT = Path(__file__).parent.parent


def budget(
    general: Annotated[str, typer.Option(help="The general reward model.")],
    data: Annotated[Path, typer.Option(help="Folder with the preference files.")] = _ROOT / "../shared/data",
    out: Annotated[Path, typer.Option(help="Folder of the runs.")] = _ROOT / "runs/budget",
    page: Annotated[Path, typer.Option(help="The page that is written.")] = _ROOT / "docs/results/budget.md",
    budgets: Annotated[list[float] | None, typer.Option("--budget", help="Points; default 2 and 1.")] = None,
    seeds: Annotated[list[int] | None, typer.Option("--seed", help="Of split and training; default 1, 2, 3.")] = None,
    minutes: Annotated[float, typer.Option(help="For each run: begin no method that would end later.")] = 30.0,
) -> None:
    """Customises for every domain, budget and seed, and writes the page."""
    sets = {name: str(data / f"{name}.json") for name in GENERAL}
    console = Console(stderr=True)
    results: dict[float, dict[str, list[Customization]]] = {}
    for points in budgets or [2.0, 1.0]:
        question = Question.parse([f"{points}"])
        for domain in DOMAINS:
            for seed in seeds or [1, 2, 3]:
                run = out / f"{domain}-{points:g}-{seed}"
                console.rule(run.name)
                result = customize(
                    general,
                    str(data / "domain_specific_preference.json"),
                    domain,
                    sets,
                    question,
                    run,
                    minutes=minutes,
                    seed=seed,
                    console=console,
                )
                results.setdefault(points, {}).setdefault(domain, []).append(result)
    page.write_text(_page(results, seeds or [1, 2, 3], minutes, general), encoding="utf-8")


def _page(results: dict[float, dict[str, list[Customization]]], seeds: list[int], minutes: float, general: str) -> str:
    every = [r for domains in results.values() for runs in domains.values() for r in runs]
    parts = [_HEAD]
    for points, domains in results.items():
        parts.append(f"## {points:g} points\n\n{_table(domains, seeds)}\n\n{_summary(points, domains)}")
    first = every[0]
    options = [f"--seed {seed}" for seed in seeds] + [f"--budget {points:g}" for points in results]
    command = " ".join(["python -m experiments.budget --general MODEL", *options, f"--minutes {minutes:g}"])
    versions = ", ".join(f"{name} {version}" for name, version in first.versions.items())
    prompts = "; ".join(f"{name} {sizes}" for name, sizes in _sizes(first).items())
    parts.append(
        "## How\n\n"
        f"- `{command}`; commit {commit()}, {datetime.now(UTC):%Y-%m-%d}; {versions}; "
        f"{sum(r.seconds for r in every) / 60:.0f} minutes in all; the features were read before.\n"
        f"- MODEL: {_described(general)}.\n"
        f"- Prompts by part, train / choose / certify / test, first seed: {prompts}.\n"
        f"- Methods tried: {', '.join(dict.fromkeys(c.method for r in every for c in r.candidates))}.\n"
    )
    return "\n\n".join(parts)


def _table(domains: dict[str, list[Customization]], seeds: list[int]) -> str:
    lines = [f"| {' | '.join(_COLUMNS)} |", f"|:--|--:|:--|{'--:|' * 6}"]
    for domain, runs in domains.items():
        for seed, r in zip(seeds, runs, strict=True):
            free = r.unconstrained.difference if r.unconstrained else None
            cells = [
                domain,
                str(seed),
                f"{r.method} x {r.strength:g}",
                f"{r.bound:.1f}",
                percent(r.custom.before),
                percent(r.custom.after),
                difference_with_interval(r.custom.difference, r.custom.ci95),
                signed_percent(free),
                difference_with_interval(r.general.difference, r.general.ci95),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _summary(points: float, domains: dict[str, list[Customization]]) -> str:
    runs = [r for found in domains.values() for r in found]
    after = sum(r.custom.after or 0 for r in runs) / len(runs)
    gain = sum(r.custom.difference or 0 for r in runs)
    free = sum((r.unconstrained.difference or 0) if r.unconstrained else 0 for r in runs)
    general = sum(r.general.difference or 0 for r in runs) / len(runs)
    kept = f"{gain / free:.0%} of the gain without a budget" if free > 0 else "no gain to keep"
    return (
        f"Within {points:g} points: mean custom accuracy {percent(after)} %, {kept}; general accuracy "
        f"{signed_percent(general)} points on the test parts; "
        f"{sum(r.method != 'none' for r in runs)} of {len(runs)} runs found a model within budget."
    )


def _described(general: str) -> str:
    """The general model in a line."""
    info = read_info(Path(general))
    if info is None:
        return general
    stages = ", ".join(info.provenance.get("stages", []))
    return (
        f"{info.provenance.get('backbone')}, {info.depth or 'all'} layers, {info.pooling} pooling, {info.head} head, "
        f"trained by the stages {stages} on {len(info.trained_on)} prompts"
    )


def _sizes(result: Customization) -> dict[str, str]:
    return {name: " / ".join(str(n) for n in parts.values()) for name, parts in result.parts.items()}


_COLUMNS = (
    *("domain", "seed", "method", "proved loss at most", "custom before %", "after %", "gain [95%]"),
    *("gain without a budget", "general, test part [95%]"),
)

_HEAD = """# Within a budget: what it keeps

<!-- Written by `python -m experiments.budget`; do not edit. -->

`customize` on the four domains of the DSP data, with helpful, harmless and webgpt as general preferences, all from one
general reward model. What is reported stands on test parts that were opened after the choice; what is proved, on
certify parts that were opened once.
*Gain without a budget* is that of the candidate that gained most on the choosing part, whatever it cost.
Accuracy is the mean over prompts. How large the parts are was settled by a look at seed 0, which is left out for that.
The floors aimed at were 80 % of the gain within 2 points, and a mean custom accuracy of 82 %."""


if __name__ == "__main__":
    try:
        typer.run(budget)
    except RewardsmithError as error:
        print(f"experiments: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
