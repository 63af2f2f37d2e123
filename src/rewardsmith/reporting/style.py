"""How every plot looks: colours, axes, labels that do not overlap, and writing the PNG.

Uses matplotlib's object interface only: no pyplot, no global state, no display.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#444444")
"""Okabe and Ito's colour-blind-safe palette without its yellow, which is too light for lines on white."""

MARKERS = ("o", "s", "D", "^", "v", "P", "X")
RIGHT, WRONG = COLORS[0], COLORS[1]
INK, QUIET, FAINT = "#222222", "#767676", "#DDDDDD"
DPI = 150
SMALL = 9
LINE_INCHES = 0.17
"""Height of a line of SMALL text with some air."""

LineEnd = tuple[float, str, str]
"""Where a line ends (in data units), its name, its colour."""


def color(k: int) -> str:
    """The colour of the k-th model or set; past the seventh they start over, with another marker."""
    return COLORS[k % len(COLORS)]


def marker(k: int) -> str:
    """The marker of the k-th model or set; colour and marker together tell 49 apart."""
    return MARKERS[(k + k // len(COLORS)) % len(MARKERS)]


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that many inches whose parts are laid out without overlap."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")


def tidy(axes: Axes, title: str = "", x: str = "", y: str = "") -> None:
    """Titles, and no more ink than needed."""
    axes.set_title(title, loc="left", fontsize=11, color=INK)
    axes.set_xlabel(x, fontsize=10, color=INK)
    axes.set_ylabel(y, fontsize=10, color=INK)
    axes.tick_params(labelsize=SMALL, colors=INK, length=3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)


def spread(positions: Sequence[float], gap: float) -> list[float]:
    """Positions moved as little as needed so that all are at least `gap` apart, in the same order.

    Neighbours that clash are joined into a block, and each block is centred on the mean of where its members want to
    be (the pool-adjacent-violators algorithm on positions less k * gap).
    """
    order = sorted(range(len(positions)), key=lambda k: positions[k])
    blocks: list[tuple[float, int]] = []
    for rank, k in enumerate(order):
        mean, size = positions[k] - rank * gap, 1
        while blocks and blocks[-1][0] > mean:
            last_mean, last_size = blocks.pop()
            mean, size = (mean * size + last_mean * last_size) / (size + last_size), size + last_size
        blocks.append((mean, size))
    means = [mean for mean, size in blocks for _ in range(size)]
    placed = [0.0] * len(positions)
    for rank, k in enumerate(order):
        placed[k] = means[rank] + rank * gap
    return placed


def label_line_ends(figure: Figure, labels: Sequence[tuple[Axes, Sequence[LineEnd]]]) -> None:
    """Names the lines of each axes beside its right edge, spread so that no two overlap.

    To be called once all axes of the figure are there: the heights in inches are known only after the layout.
    """
    figure.draw_without_rendering()
    for axes, ends in labels:
        bottom, top = axes.get_ylim()
        height = axes.get_position().height * figure.get_figheight()
        n_lines = max((text.count("\n") + 1 for _, text, _ in ends), default=1)
        wanted = [(value - bottom) / (top - bottom) for value, _, _ in ends]
        room = n_lines * LINE_INCHES / height
        places = spread(wanted, room)
        above = max(0.0, max(places, default=0.0) + room / 2 - 1)  # keeps clear of the panel above
        places = [place - above for place in places]
        for place, (_, text, tint) in zip(places, ends, strict=True):
            label_at_right(axes, place, text, tint)


def label_at_right(axes: Axes, y: float, text: str, tint: str, *, in_data: bool = False) -> None:
    """Text just right of the axes, where no data lie; y as share of the axes' height, or in data units."""
    axes.annotate(
        text,
        (1.0, y),
        xycoords=("axes fraction", "data" if in_data else "axes fraction"),
        xytext=(8, 0),
        textcoords="offset points",
        color=tint,
        fontsize=SMALL,
        va="center",
        annotation_clip=False,
    )


def write_png(figure: Figure, path: str | Path) -> Path:
    """Writes the figure and returns where it lies."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, format="png")
    return target
