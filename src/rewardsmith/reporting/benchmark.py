"""The result of a benchmark as a table and sentences. Reads the typed result only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rewardsmith.evaluation.benchmarks.result import BenchmarkResult, Figure, Rank
from rewardsmith.reporting.format import count, percent, percent_with_interval
from rewardsmith.reporting.tables import Table, to_rich

if TYPE_CHECKING:
    from rich.console import Console


def benchmark_table(result: BenchmarkResult) -> Table:
    """One row for each section, each further figure, and the whole."""
    rows = [_row(name, figure) for name, figure in (*result.sections.items(), *result.details.items())]
    rows += [_row("overall", result.overall)] if result.overall is not None else []
    return Table(f"{result.suite}: {result.model}", ("section", "score % [95%]", "prompts"), tuple(rows))


def sentences(result: BenchmarkResult) -> list[str]:
    """Rank, leakage and notes, in words."""
    return [_rank(result), _leakage(result), *result.notes]


def print_benchmark(result: BenchmarkResult, console: Console) -> None:
    """Prints table and sentences."""
    console.print(to_rich(benchmark_table(result)))
    for sentence in sentences(result):
        console.print(f"- {sentence}", style="dim", highlight=False, markup=False)


def _row(name: str, figure: Figure) -> tuple[str, ...]:
    return name, percent_with_interval(figure.score, figure.ci95), count(figure.n_prompts)


def _rank(result: BenchmarkResult) -> str:
    if result.overall is None:
        return "the suite has no overall score to rank by"
    if result.rank is None:
        return "no published scores are known to rank it by"
    return f"would rank {_place(result.rank)} ({result.rank.source}; {result.rank.date})"


def _place(rank: Rank) -> str:
    above = f"{rank.above.model} ({percent(rank.above.score)})" if rank.above else None
    below = f"{rank.below.model} ({percent(rank.below.score)})" if rank.below else None
    models = f"{rank.listed} listed models"
    if above and below:
        return f"between {above} and {below}, {rank.position - 1} of the {models} are better"
    return f"below all {models}, next to {above}" if above else f"above all {models}"


def _leakage(result: BenchmarkResult) -> str:
    if result.n_seen is None:
        return "the model does not say what it was trained on: whether prompts of the suite were there cannot be known"
    if not result.n_seen:
        return f"none of the {count(result.n_rows)} rows has a prompt that the model says it was trained on"
    return (
        f"the model was trained on the prompts of {count(result.n_seen)} of the {count(result.n_rows)} rows: its "
        "score is flattered"
    )
