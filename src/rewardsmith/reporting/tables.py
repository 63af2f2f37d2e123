"""Evaluation results as tables: one neutral table, printed by rich on a terminal or written as Markdown.

Reads evaluation's typed result only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rewardsmith.evaluation.customization import Customization
from rewardsmith.evaluation.result import Comparison, EvaluationResult, Figures, ModelResult, Verdict
from rewardsmith.reporting.format import (
    count,
    decimal,
    difference_with_interval,
    p_value,
    percent,
    percent_with_interval,
    signed_percent,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

FIGURE_COLUMNS = ("prompts", "pairs", "accuracy % [95%]", "w/o plain %", "ECE", "NLL", "longer %", "bag of words %")


@dataclass(frozen=True)
class Table:
    """A table of text; the first `n_labels` columns are names, on the left; the others are figures."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    n_labels: int = 1


def sets_table(result: EvaluationResult) -> Table:
    """One row for each set and model, models of the same set below one another."""
    names = list(dict.fromkeys(name for model in result.models for name in model.sets))
    rows = [
        (name, model.model, *_figure_cells(model.sets[name]))
        for name in names
        for model in result.models
        if name in model.sets
    ]
    if len(result.models) == 1:
        return Table(result.models[0].model, ("set", *FIGURE_COLUMNS), tuple((r[0], *r[2:]) for r in rows))
    return Table("Evaluation", ("set", "model", *FIGURE_COLUMNS), tuple(rows), n_labels=2)


def domains_table(model: ModelResult) -> Table | None:
    """One row for each domain of the sets that have several, with the mean of each set's domains; None without any."""
    rows = []
    for name, result in model.sets.items():
        rows += [(name, domain, *_figure_cells(figures)) for domain, figures in result.domains.items()]
        if result.domains:
            mean = percent(result.mean_domain_accuracy)
            rows.append((name, "mean of domains", "", "", mean, *[""] * (len(FIGURE_COLUMNS) - 3)))
    if not rows:
        return None
    return Table(f"{model.model} by domain", ("set", "domain", *FIGURE_COLUMNS), tuple(rows), n_labels=2)


def comparisons_table(comparisons: Iterable[Comparison]) -> Table | None:
    """One row for each paired comparison; None when there is none."""
    rows = tuple(
        (
            c.set,
            c.model_a,
            c.model_b,
            count(c.n_prompts),
            difference_with_interval(c.difference, c.ci95),
            p_value(c.p_value),
        )
        for c in comparisons
    )
    columns = ("set", "A", "B", "prompts", "A - B, points [95%]", "p")
    return Table("Comparisons on the same pairs", columns, rows, n_labels=3) if rows else None


def verdicts_table(verdicts: Iterable[Verdict]) -> Table | None:
    """One row for each budget; None when there is none."""
    rows = tuple(
        (
            v.set,
            v.verdict,
            f"{100 * v.budget:g}",
            signed_percent(-v.bound),
            difference_with_interval(v.difference, v.ci95),
            percent(v.flipped),
            count(v.n_prompts),
        )
        for v in verdicts
    )
    columns = ("set", "verdict", "budget", "proved at least", "difference, points [95%]", "flipped %", "prompts")
    return Table("What it cost, in points", columns, rows, n_labels=2) if rows else None


def changes_table(result: Customization) -> Table:
    """What a customisation gained and cost on the test parts."""
    rows = [(f"custom: {result.domain}", result.custom)]
    rows += [("the same without a budget", result.unconstrained)] if result.unconstrained else []
    rows += [("all general sets", result.general)]
    rows += result.general.sets.items() if len(result.general.sets) > 1 else []
    cells = tuple(
        (
            name,
            percent(c.before),
            percent(c.after),
            difference_with_interval(c.difference, c.ci95),
            count(c.n_prompts),
        )
        for name, c in rows
    )
    columns = ("preferences, test part", "before %", "after %", "difference, points [95%]", "prompts")
    return Table("", columns, cells)


def verdict_line(v: Verdict) -> str:
    """A verdict in words."""
    proved = f"at {v.confidence:g} % it is proved to have lost no more than {100 * max(v.bound, 0):.1f}"
    return f"{v.set}: {v.verdict}: {100 * v.budget:g} points may be lost, {proved} ({v.n_prompts} prompts)"


def notes_list(result: EvaluationResult) -> list[str]:
    """Every note with where it belongs, as lines; equal notes of several models are said once."""
    lines = [] if result.models else ["nothing was evaluated: no stage here makes a model that ranks"]
    for model in result.models:
        for name, figures in model.sets.items():
            lines += [f"{name}: {note}" for note in figures.notes]
            lines += [f"{name}, {domain}: {note}" for domain, d in figures.domains.items() for note in d.notes]
    for c in result.comparisons:
        lines += [f"{c.set}, {c.model_a} and {c.model_b}: {note}" for note in c.notes]
    return list(dict.fromkeys(lines))


def result_tables(result: EvaluationResult) -> list[Table]:
    """All tables of a result, in reading order."""
    domains = [domains_table(model) for model in result.models]
    beside = (comparisons_table(result.comparisons), verdicts_table(result.verdicts))
    sets = sets_table(result) if result.models else None
    return [t for t in (sets, *domains, *beside) if t is not None]


def print_result(result: EvaluationResult, console: Console) -> None:
    """Prints tables and notes."""
    for table in result_tables(result):
        console.print(to_rich(table))
    for note in notes_list(result):
        console.print(f"- {note}", style="dim", highlight=False, markup=False)


def result_markdown(result: EvaluationResult) -> str:
    """Tables and notes as a Markdown document."""
    parts = [f"## {table.title}\n\n{to_markdown(table)}" for table in result_tables(result)]
    notes = "\n".join(f"- {note}" for note in notes_list(result))
    return "\n".join(parts) + (f"\n{notes}\n" if notes else "")


def to_rich(table: Table) -> RichTable:
    """The table for a rich console; names are plain text, so that brackets in them are not taken for markup."""
    from rich.table import Table as RichTable
    from rich.text import Text

    rich_table = RichTable(title=Text(table.title) if table.title else None)
    for k, column in enumerate(table.columns):
        is_label = k < table.n_labels
        # Figures never wrap: a number broken over two lines is misread. Names give way on a narrow terminal.
        rich_table.add_column(Text(column), justify="left" if is_label else "right", no_wrap=not is_label)
    for row in table.rows:
        rich_table.add_row(*(Text(cell) for cell in row))
    return rich_table


def to_markdown(table: Table) -> str:
    """The table as GitHub Markdown, without its title."""
    rule = [":--" if k < table.n_labels else "--:" for k in range(len(table.columns))]
    return "".join(f"| {' | '.join(map(_escaped, row))} |\n" for row in (table.columns, tuple(rule), *table.rows))


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")


def _figure_cells(figures: Figures) -> tuple[str, ...]:
    """The cells under FIGURE_COLUMNS."""
    longer, words = (figures.baselines.get(name) for name in ("longer", "bag_of_words"))
    return (
        count(figures.n_prompts),
        count(figures.n_pairs),
        percent_with_interval(figures.accuracy, figures.ci95),
        percent(figures.accuracy_without_plain),
        decimal(figures.ece),
        decimal(figures.nll),
        percent(longer.accuracy if longer else None),
        percent(words.accuracy if words else None),
    )
