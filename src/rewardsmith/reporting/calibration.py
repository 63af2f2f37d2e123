"""A calibration for people: its tables, and the reliability plot before and after. Reads the typed result only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rewardsmith.evaluation.calibrated import CalibrationResult, Reading
from rewardsmith.reporting import style
from rewardsmith.reporting.format import (
    count,
    decimal,
    decimal_with_interval,
    difference_with_interval,
    percent,
    percent_with_interval,
)
from rewardsmith.reporting.plots import draw_reliability
from rewardsmith.reporting.tables import Table


def calibration_tables(result: CalibrationResult) -> list[Table]:
    """What was read from the rewards, before and after; sureness; length."""
    return [readings_table(result), halves_table(result), length_table(result)]


def readings_table(result: CalibrationResult) -> Table:
    """One row for each way to read probabilities from the rewards."""
    rows = tuple(
        (
            name,
            percent_with_interval(r.accuracy, r.ci95),
            decimal(r.nll),
            decimal(r.ece_plain),
            decimal_with_interval(r.ece, r.ece_ci95),
            decimal(r.slope, 2),
        )
        for name, r in result.readings.items()
    )
    title = (
        f"Temperature {result.temperature:.3g}, fitted on {count(result.n_prompts['fit'])} prompts; "
        f"figures on {count(result.n_prompts['test'])} others, {count(result.n_pairs['test'])} pairs"
    )
    return Table(title, ("probabilities", "accuracy % [95%]", "NLL", "ECE", "debiased ECE [95%]", "slope"), rows)


def halves_table(result: CalibrationResult) -> Table:
    """One row for each measure of sureness."""
    rows = tuple(
        (name, percent(h.surer), percent(h.rest), difference_with_interval(h.difference, h.ci95))
        for name, h in result.halves.items()
    )
    return Table("Right where it is sure?", ("sure by", "surer half %", "rest %", "difference, points [95%]"), rows)


def length_table(result: CalibrationResult) -> Table:
    """Before and after length is taken out."""
    effect = result.length
    names = ("rewards", "rewards without length")
    rows = tuple(
        (
            names[k],
            percent(effect.explained[k]),
            percent(effect.prefers_longer[k]),
            percent(effect.longer_wins),
            percent(effect.accuracy[k]),
            percent(effect.longer_chosen[k]),
            percent(effect.shorter_chosen[k]),
        )
        for k in (0, 1)
    )
    title = f"Length: {result.coefficient:+.2f} for each unit of log length; without it accuracy changes by " + (
        difference_with_interval(effect.difference, effect.ci95)
    )
    columns = (
        *("", "explained by length %", "prefers the longer %", "longer is right %"),
        *("accuracy %", "longer right %", "shorter right %"),
    )
    return Table(title, columns, rows)


def plot_reliability(readings: Mapping[str, Reading], path: Path) -> Path:
    """Reliability before and after, a panel for each way to read probabilities."""
    names = list(readings)
    columns = min(2, len(names))
    n_rows = -(-len(names) // columns)
    figure = style.new_figure(4.2 * columns, 3.6 * n_rows)
    lowest = min(100 * b.accuracy for r in readings.values() for b in r.bins)
    for place, name in enumerate(names):
        axes = figure.add_subplot(n_rows, columns, place + 1)
        draw_reliability(axes, readings[name].bins, place)
        axes.set_ylim(max(-1.0, min(50.0, lowest) - 8), 102)
        side = "ranked right, %" if place % columns == 0 else ""
        style.tidy(axes, _heading(name, readings[name]), "stated confidence, %", side)
    return style.write_png(figure, path)


def _heading(name: str, reading: Reading) -> str:
    return f"{name}: debiased ECE {decimal(reading.ece)}"
