"""Pictures of a collection: lengths by domain, the words that tell each, the judge, tokens and cost over time.

Takes plain figures; it knows nothing of journals or servers. Each function writes one PNG and returns its path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rewardsmith.reporting import style


def plot_lengths(
    words: Mapping[str, Sequence[int]], wanted: Mapping[str, tuple[int, int] | None], path: str | Path
) -> Path:
    """Length of the answers of each domain in words: every answer a dot, the middle half a bar, the range asked for."""
    import numpy as np

    figure = style.new_figure(8.5, 1.2 + 0.55 * len(words))
    axes = figure.add_subplot()
    rng = np.random.default_rng(0)
    for row, (name, lengths) in enumerate(words.items()):
        tint = style.color(row)
        if (asked := wanted.get(name)) is not None:
            axes.barh(row, asked[1] - asked[0], left=asked[0], height=0.7, color=style.FAINT, zorder=0)
        if lengths:
            low, middle, high = np.percentile(lengths, [25, 50, 75])
            axes.scatter(
                lengths, row + rng.uniform(-0.22, 0.22, len(lengths)), s=6, color=tint, alpha=0.35, linewidths=0
            )
            axes.plot([low, high], [row, row], color=style.INK, linewidth=3, solid_capstyle="butt")
            axes.plot([middle], [row], marker="|", color=style.INK, markersize=14, markeredgewidth=2)
    axes.set_yticks(range(len(words)), list(words))
    axes.set_ylim(len(words) - 0.4, -0.6)
    axes.set_xlim(left=0)
    style.tidy(axes, "How long the answers are", "words (bar: middle half, tick: median; grey: asked for)")
    axes.tick_params(axis="y", length=0, labelsize=10)
    return style.write_png(figure, path)


def plot_keywords(words: Mapping[str, Sequence[tuple[str, float]]], path: str | Path, most: int = 8) -> Path:
    """For each domain the words that tell it from the others, by log-likelihood."""
    columns = min(3, len(words))
    rows = -(-len(words) // columns)
    figure = style.new_figure(3.2 * columns, 0.6 + 2.3 * rows)
    for place, (name, found) in enumerate(words.items(), 1):
        axes = figure.add_subplot(rows, columns, place)
        shown = list(found[:most])
        axes.barh(range(len(shown)), [value for _, value in shown], color=style.color(place - 1), height=0.65)
        axes.set_yticks(range(len(shown)), [word for word, _ in shown])
        axes.set_ylim(most - 0.4, -0.6)
        style.tidy(axes, name, "log-likelihood" if place > len(words) - columns else "")
        axes.tick_params(axis="y", length=0)
        if not shown:
            axes.text(0.5, 0.5, "no word tells it", transform=axes.transAxes, ha="center", color=style.QUIET)
    return style.write_png(figure, path)


def plot_agreement(shares: Mapping[str, int], path: str | Path) -> Path:
    """What the judge said of pairs that the rule ranks: one bar for each kind of verdict."""
    total = sum(shares.values())
    figure = style.new_figure(7.5, 1.0 + 0.4 * len(shares))
    axes = figure.add_subplot()
    values = [100 * count / total if total else 0.0 for count in shares.values()]
    axes.barh(range(len(shares)), values, color=style.COLORS[0], height=0.6)
    for row, (value, count) in enumerate(zip(values, shares.values(), strict=True)):
        axes.text(value + 1, row, f"{value:.0f} %  ({count})", va="center", fontsize=style.SMALL, color=style.INK)
    axes.set_yticks(range(len(shares)), list(shares))
    axes.set_ylim(len(shares) - 0.4, -0.6)
    axes.set_xlim(0, 115)
    style.tidy(axes, "What the judge says of the pairs that the rule ranks", "% of pairs")
    axes.tick_params(axis="y", length=0, labelsize=10)
    return style.write_png(figure, path)


def plot_course(course: Sequence[tuple[float, float, int]], path: str | Path) -> Path:
    """Answer tokens, and dollars where there are any, against minutes since the first answer."""
    minutes = [seconds / 60 for seconds, _, _ in course]
    paid = bool(course) and course[-1][1] > 0
    figure = style.new_figure(8.5, 3.2)
    axes = figure.add_subplot(1, 2 if paid else 1, 1)
    axes.plot(minutes, [tokens for _, _, tokens in course], color=style.COLORS[0], linewidth=1.8)
    style.tidy(axes, "Answer tokens so far", "minutes since the first answer")
    if paid:
        axes = figure.add_subplot(1, 2, 2)
        axes.plot(minutes, [cost for _, cost, _ in course], color=style.COLORS[1], linewidth=1.8)
        style.tidy(axes, "Dollars so far", "minutes since the first answer")
    return style.write_png(figure, path)
