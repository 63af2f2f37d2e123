"""Pictures of an evaluation: accuracy beside its baselines, calibration, margins.

Each function reads evaluation's typed result, writes one PNG and returns its path. Raises UserError when the result
holds nothing to draw.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rewardsmith.errors import UserError
from rewardsmith.evaluation.result import CalibrationBin, EvaluationResult, SetResult
from rewardsmith.reporting import style
from rewardsmith.reporting.format import decimal, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BASELINE_MARKS = {"longer": ">", "shorter": "<", "bag_of_words": "d"}


def plot_all(result: EvaluationResult, folder: str | Path) -> list[Path]:
    """`accuracy.png`, `calibration.png` and `margins.png` in `folder`; none where no set ranks anything."""
    if not any(figures.n_pairs for model in result.models for figures in model.sets.values()):
        return []
    makers = {"accuracy": plot_accuracy, "calibration": plot_calibration, "margins": plot_margins}
    return [make(result, Path(folder) / f"{name}.png") for name, make in makers.items()]


def plot_accuracy(result: EvaluationResult, path: str | Path) -> Path:
    """Accuracy with its interval, grouped by set, one colour a model, and the baselines as grey marks."""
    rows = [
        (name, k, model.sets[name])
        for name in _set_names(result)
        for k, model in enumerate(result.models)
        if name in model.sets and model.sets[name].accuracy is not None
    ]
    if not rows:
        raise UserError("no set has an accuracy to draw")
    names = list(dict.fromkeys(name for name, _, _ in rows))
    lines, heights = _grouped_heights([name for name, _, _ in rows])
    figure = style.new_figure(8.5, 1.5 + 0.3 * lines)
    axes = figure.add_subplot()
    for (_, k, figures), y in zip(rows, heights, strict=True):
        _accuracy_row(axes, y, k, figures, result.models[k].model if len(result.models) > 1 else "")
    middles = []
    for name in names:
        group = [y for (n, _, _), y in zip(rows, heights, strict=True) if n == name]
        middles.append((group[0] + group[-1]) / 2)
        _baseline_marks(axes, group[0], group[-1], next(figures for n, _, figures in rows if n == name))
    axes.set_yticks(middles, [_wrapped(name) for name in names])
    axes.set_ylim(lines - 0.3, -0.7)
    axes.axvline(50, color=style.QUIET, linewidth=1, linestyle=":", zorder=0)
    axes.grid(axis="x", color=style.FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    title = "Accuracy on each set" if len(result.models) > 1 else f"Accuracy of {result.models[0].model}"
    style.tidy(axes, title, "accuracy, % (mean over prompts, 95 % interval; dotted: coin toss)")
    axes.tick_params(axis="y", length=0, labelsize=10)
    _baseline_key(figure, [figures for _, _, figures in rows])
    return style.write_png(figure, path)


def plot_calibration(result: EvaluationResult, path: str | Path) -> Path:
    """Reliability: how often the response with the higher reward is the preferred one, against sigmoid(|margin|)."""
    names = [n for n in _set_names(result) if any(n in m.sets and m.sets[n].calibration for m in result.models)]
    if not names:
        raise UserError("no set has bins of calibration to draw")
    columns = min(2, len(names))
    n_rows = -(-len(names) // columns)
    figure = style.new_figure(5.0 * columns, 3.9 * n_rows)
    labels = []
    for place, name in enumerate(names, start=1):
        axes = figure.add_subplot(n_rows, columns, place)
        labels.append((axes, _reliability_panel(axes, name, result)))
        style.tidy(axes, name, "stated confidence, %", "ranked right, %" if (place - 1) % columns == 0 else "")
    style.label_line_ends(figure, labels)
    return style.write_png(figure, path)


def plot_margins(result: EvaluationResult, path: str | Path) -> Path:
    """Histogram of reward margins, a row for each set and a column for each model; left of 0 is ranked wrong."""
    names = [n for n in _set_names(result) if any(n in m.sets and m.sets[n].margins.counts for m in result.models)]
    if not names:
        raise UserError("no set has margins to draw")
    n_models = len(result.models)
    figure = style.new_figure(max(6.0, 4.5 * n_models), 2.6 * len(names))
    for row, name in enumerate(names):
        for column, model in enumerate(result.models):
            if name not in model.sets or not model.sets[name].margins.counts:
                continue
            axes = figure.add_subplot(len(names), n_models, row * n_models + column + 1)
            _margin_panel(axes, model.sets[name])
            title = name if n_models == 1 else f"{name}, {model.model}"
            style.tidy(axes, title, "reward of chosen minus rejected", "pairs")
    return style.write_png(figure, path)


def _accuracy_row(axes: Axes, y: float, k: int, figures: SetResult, model: str) -> None:
    """One dot with its interval, and its name and value beside the right edge, where nothing can overlap them."""
    center = 100 * (figures.accuracy or 0.0)
    if figures.ci95:
        axes.plot([100 * end for end in figures.ci95], [y, y], color=style.color(k), linewidth=2, solid_capstyle="butt")
    axes.plot(center, y, marker=style.marker(k), color=style.color(k), markersize=7, linestyle="none", zorder=3)
    style.label_at_right(axes, y, f"{percent(figures.accuracy)}  {model}".rstrip(), style.color(k), in_data=True)


def _baseline_marks(axes: Axes, top: float, bottom: float, figures: SetResult) -> None:
    """A grey line through all rows of the set for each baseline, with its mark on top: baselines know no model."""
    for name, mark in BASELINE_MARKS.items():
        baseline = figures.baselines.get(name)
        if baseline and baseline.accuracy is not None:
            x = 100 * baseline.accuracy
            axes.plot([x, x], [top - 0.45, bottom + 0.45], color=style.QUIET, linewidth=1, zorder=1)
            axes.plot(x, top - 0.45, marker=mark, color=style.QUIET, markersize=6, markerfacecolor="white", zorder=2)


def _baseline_key(figure: Figure, sets: list[SetResult]) -> None:
    """What the grey marks are, below the plot; nothing when no set has baselines."""
    from matplotlib.lines import Line2D

    present = [name for name in BASELINE_MARKS if any(name in s.baselines for s in sets)]
    if not present:
        return
    marks = [
        Line2D([], [], marker=BASELINE_MARKS[n], color=style.QUIET, markerfacecolor="white", linestyle="none")
        for n in present
    ]
    labels = ["baseline: " + name.replace("_", " ") for name in present]
    figure.legend(
        marks,
        labels,
        loc="outside lower center",
        ncols=len(present),
        frameon=False,
        fontsize=style.SMALL,
        labelcolor=style.QUIET,
        handletextpad=0.2,
        columnspacing=1.2,
    )


def _reliability_panel(axes: Axes, name: str, result: EvaluationResult) -> list[style.LineEnd]:
    """The models' curves over the diagonal; returns where they end."""
    ends: list[style.LineEnd] = []
    lowest = 50.0
    for k, model in enumerate(result.models):
        if name not in model.sets or not model.sets[name].calibration:
            continue
        bins = model.sets[name].calibration
        draw_reliability(axes, bins, k)
        lowest = min(lowest, *(100 * b.accuracy for b in bins))
        ends.append((100 * bins[-1].accuracy, f"{model.model}\nECE {decimal(model.sets[name].ece)}", style.color(k)))
    axes.set_ylim(max(-1.0, lowest - 8), 102)
    return ends


def draw_reliability(axes: Axes, bins: Sequence[CalibrationBin], k: int) -> None:
    """One curve, the k-th, with its 95 % band, over the diagonal on which stated confidence is true."""
    x, y = [100 * b.confidence for b in bins], [100 * b.accuracy for b in bins]
    half = [196 * (b.standard_error or 0.0) for b in bins]
    low, high = ([m + side * h for m, h in zip(y, half, strict=True)] for side in (-1, 1))
    tint = style.color(k)
    axes.plot([50, 100], [50, 100], color=style.QUIET, linewidth=1, linestyle=":")
    axes.fill_between(x, low, high, color=tint, alpha=0.13, linewidth=0)
    axes.plot(x, y, color=tint, linewidth=1.6, marker=style.marker(k), markersize=5)
    axes.set_xlim(49, 101)
    axes.grid(color=style.FAINT, linewidth=0.6)
    axes.set_axisbelow(True)


def _margin_panel(axes: Axes, figures: SetResult) -> None:
    """Bars in the colour of right and wrong, each side named with its share."""
    edges, counts = figures.margins.edges, figures.margins.counts
    for left, right, height in zip(edges[:-1], edges[1:], counts, strict=True):
        tint = style.RIGHT if left >= 0 or left + right > 0 else style.WRONG
        axes.bar(left, height, right - left, align="edge", color=tint, edgecolor="white", linewidth=0.4)
    axes.axvline(0, color=style.INK, linewidth=0.8)
    axes.set_ylim(0, 1.25 * max(counts))
    share = figures.accuracy_pairs
    wrong = None if share is None else 1 - share
    sides = ((0.02, "left", style.WRONG, wrong, "wrong"), (0.98, "right", style.RIGHT, share, "right"))
    for x, side, tint, part, word in sides:
        text = f"ranked {word}: {percent(part)} %"
        axes.text(x, 0.95, text, transform=axes.transAxes, ha=side, va="top", color=tint, fontsize=style.SMALL)


def _grouped_heights(names: list[str]) -> tuple[float, list[float]]:
    """A height for each row, with half a row between groups of equal names; and where the last group ends."""
    heights, y = [], 0.0
    for k, name in enumerate(names):
        y += 0 if k == 0 else 1.0 if name == names[k - 1] else 1.6
        heights.append(y)
    return y + 1, heights


def _set_names(result: EvaluationResult) -> list[str]:
    return list(dict.fromkeys(name for model in result.models for name in model.sets))


def _wrapped(name: str, width: int = 24) -> str:
    """A long name over several lines, broken at spaces and underscores where it can be."""
    return "\n".join(textwrap.wrap(name.replace("_", "_ "), width)).replace("_ ", "_") or name
