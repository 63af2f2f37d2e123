"""The two pictures: every figure's ratio with its range, and the curves. They read what is published, never models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.curves import PADDED, Point
from benchmarks.measured import OURS
from rewardsmith.reporting import style


def plot_ratios(entries: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """A row for each figure, on a logarithmic axis: the ratio with its range, the floor and the aim as ticks."""
    figure = style.new_figure(8.5, 1.0 + 0.42 * len(entries))
    axes = figure.add_subplot()
    for row, e in enumerate(entries):
        y = len(entries) - 1 - row
        tint = style.RIGHT if e["ratio"] >= e["floor"] else style.WRONG
        axes.plot([e["low"], e["high"]], [y, y], color=tint, linewidth=2)
        axes.plot([e["ratio"]], [y], color=tint, marker="o", markersize=6)
        for mark, name in ((e["floor"], "|"), (e["aim"], "d")):
            axes.plot([mark], [y], color=style.QUIET, marker=name, markersize=9 if name == "|" else 5, linestyle="")
        style.label_at_right(axes, y, f"{e['ratio']:.2f}", tint, in_data=True)
    axes.axvline(1, color=style.FAINT, linewidth=1, zorder=0)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_ylim(-0.6, len(entries) - 0.4)
    axes.set_yticks(range(len(entries)), [e["figure"] for e in reversed(entries)])
    style.tidy(axes, x="ratio with its range   (| floor, ◆ aim)")
    return style.write_png(figure, path)


def plot_curves(points: Sequence[Point], path: Path) -> Path:
    """A panel for each axis, both axes logarithmic, both sides as lines."""
    names = list(dict.fromkeys(p.axis for p in points))
    figure = style.new_figure(3.6 * len(names) + 0.6, 3.4)
    for k, name in enumerate(names):
        axes = figure.add_subplot(1, len(names), k + 1)
        own = [p for p in points if p.axis == name]
        for side, tint, mark in ((OURS, style.RIGHT, "o"), (PADDED, style.WRONG, "s")):
            axes.plot([p.at for p in own], [p.seconds[side] for p in own], color=tint, marker=mark, label=side)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks([p.at for p in own], [str(p.at) for p in own])
        axes.grid(axis="y", color=style.FAINT, linewidth=0.6)
        style.tidy(axes, x=name, y="seconds" if k == 0 else "")
        if k == 0:
            axes.legend(frameon=False, fontsize=style.SMALL)
    return style.write_png(figure, path)
