"""The learning curves of a run: accuracy on each set above, loss below, stage after stage.

Reads the points of `metrics_file`; knows nothing of how a run is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rewardsmith.errors import UserError
from rewardsmith.reporting import style
from rewardsmith.reporting.format import percent
from rewardsmith.reporting.metrics_file import MetricPoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SMOOTH_FROM = 40
"""Runs with more losses than this are drawn faintly, with a running mean on top."""


def plot_learning_curves(points: Sequence[MetricPoint], path: str | Path) -> Path:
    """Draws the panels there are data for; raises UserError when there are none."""
    placed, stages = _along_the_run(points)
    panels = [
        draw
        for draw, present in (
            (_draw_accuracy, any(p.accuracy for p in points)),
            (_draw_loss, any(p.loss is not None for p in points)),
        )
        if present
    ]
    if not panels:
        raise UserError("the metrics hold neither loss nor accuracy: there is nothing to draw")
    figure = style.new_figure(8.5, 0.6 + 3.0 * len(panels))
    first, labels = None, []
    for row, draw in enumerate(panels, start=1):
        axes = figure.add_subplot(len(panels), 1, row, sharex=first)
        first = first or axes
        labels.append((axes, draw(axes, placed)))
        _mark_stages(axes, stages, named=row == 1)
        axes.grid(axis="y", color=style.FAINT, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_xlim(-0.02 * stages[-1][2], 1.02 * stages[-1][2] or 1)
        axes.tick_params(axis="x", labelbottom=row == len(panels))
    axes.set_xlabel("step", fontsize=10, color=style.INK)
    style.label_line_ends(figure, labels)
    return style.write_png(figure, path)


Placed = list[tuple[float, MetricPoint]]


def _along_the_run(points: Sequence[MetricPoint]) -> tuple[Placed, list[tuple[str, float, float]]]:
    """Points with their step counted through all stages, and each stage's name, start and end on that axis.

    Steps start anew in each stage, so a stage begins where the one before it ended.
    """
    placed: Placed = []
    stages: list[tuple[str, float, float]] = []
    start = 0.0
    for name in dict.fromkeys(p.stage for p in points):
        members = sorted((p for p in points if p.stage == name), key=lambda p: p.step)
        placed += [(start + p.step, p) for p in members]
        end = start + members[-1].step
        stages.append((name, start, end))
        start = end
    return placed, stages


def _draw_accuracy(axes: Axes, placed: Placed) -> list[style.LineEnd]:
    """One line a set; returns where they end."""
    names = list(dict.fromkeys(name for _, p in placed for name in p.accuracy))
    ends: list[style.LineEnd] = []
    for k, name in enumerate(names):
        tint = style.color(k)
        xs = [x for x, p in placed if name in p.accuracy]
        ys = [100 * p.accuracy[name] for _, p in placed if name in p.accuracy]
        axes.plot(xs, ys, color=tint, linewidth=1.6, marker=style.marker(k), markersize=4)
        ends.append((ys[-1], f"{percent(ys[-1] / 100)}  {name}", tint))
    style.tidy(axes, y="accuracy, %")
    return ends


def _draw_loss(axes: Axes, placed: Placed) -> list[style.LineEnd]:
    """Each stage's loss on its own, for the losses of two stages are not the same quantity. Nothing to name."""
    for stage in dict.fromkeys(p.stage for _, p in placed):
        run = [(x, p.loss) for x, p in placed if p.stage == stage and p.loss is not None]
        xs, ys = [x for x, _ in run], [loss for _, loss in run]
        many = len(ys) > SMOOTH_FROM
        axes.plot(xs, ys, color=style.INK, linewidth=0.7 if many else 1.4, alpha=0.3 if many else 1.0)
        if many:
            axes.plot(xs, _running_mean(ys, len(ys) // 20), color=style.INK, linewidth=1.6)
    style.tidy(axes, y="loss")
    return []


def _mark_stages(axes: Axes, stages: list[tuple[str, float, float]], *, named: bool) -> None:
    for k, (name, start, end) in enumerate(stages):
        if k:
            axes.axvline(start, color=style.QUIET, linewidth=0.8, linestyle="--")
        if named:
            place = ((start + end) / 2, 1.02)
            kind = axes.get_xaxis_transform()
            axes.text(*place, name, transform=kind, ha="center", va="bottom", fontsize=10, color=style.QUIET)


def _running_mean(values: list[float], half: int) -> list[float]:
    """Mean over a window of `half` values to either side, cut short at the ends."""
    import numpy as np

    sums = np.concatenate([[0.0], np.cumsum(values)])
    k = np.arange(len(values))
    low, high = np.maximum(k - half, 0), np.minimum(k + half + 1, len(values))
    means: list[float] = ((sums[high] - sums[low]) / (high - low)).tolist()
    return means
