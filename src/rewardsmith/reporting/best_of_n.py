"""Best-of-n for people: its table, and the curves over n. Reads the typed result only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rewardsmith.evaluation.optimisation import CEILING, LONGER, Curve
from rewardsmith.reporting import style
from rewardsmith.reporting.format import decimal, decimal_with_interval
from rewardsmith.reporting.tables import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_REFERENCES = {CEILING: style.QUIET, LONGER: style.INK}
"""Proxies that are no models: drawn without a band, in grey."""


def best_of_n_table(curves: Mapping[str, Mapping[str, Curve]]) -> Table:
    """One row for each gold and proxy."""
    rows = [
        (
            gold,
            proxy,
            *(decimal_with_interval(curve.points[k].gain, curve.points[k].ci95, 2) for k in _shown(curve)),
            _peak(curve),
            decimal_with_interval(curve.peak.fall, curve.peak.fall_ci95, 2),
            decimal(curve.peak.chance_of_fall, 2),
        )
        for gold, by_proxy in curves.items()
        for proxy, curve in by_proxy.items()
    ]
    first = next(curve for by_proxy in curves.values() for curve in by_proxy.values())
    ns = tuple(f"n = {first.points[k].n} [95%]" for k in _shown(first))
    title = "Gold reward of the best of n, in standard deviations within a prompt"
    return Table(title, ("gold", "proxy", *ns, "highest at n", "fall from there", "chance of a fall"), tuple(rows), 2)


def plot_best_of_n(curves: Mapping[str, Mapping[str, Curve]], path: Path) -> Path:
    """A panel for each gold, a line with its 95 % band for each proxy, the highest point marked."""
    columns = min(2, len(curves))
    n_rows = -(-len(curves) // columns)
    figure = style.new_figure(5.6 * columns, 3.8 * n_rows)
    labels = []
    for place, (gold, by_proxy) in enumerate(curves.items()):
        axes = figure.add_subplot(n_rows, columns, place + 1)
        labels.append((axes, _panel(axes, by_proxy)))
        side = "gain, standard deviations" if place % columns == 0 else ""
        style.tidy(axes, f"reward of {gold}", "n responses to choose from", side)
    style.label_line_ends(figure, labels)
    return style.write_png(figure, path)


def _panel(axes: Axes, by_proxy: Mapping[str, Curve]) -> list[style.LineEnd]:
    ends: list[style.LineEnd] = []
    models = [name for name in by_proxy if name not in _REFERENCES]
    for name, curve in by_proxy.items():
        ns, gains = [p.n for p in curve.points], [p.gain for p in curve.points]
        reference = name in _REFERENCES
        tint = _REFERENCES[name] if reference else style.color(models.index(name))
        axes.plot(ns, gains, color=tint, linewidth=1.2 if reference else 1.8, linestyle=":" if reference else "-")
        if not reference:
            bands = [p.ci95 or (p.gain, p.gain) for p in curve.points]
            low, high = [band[0] for band in bands], [band[1] for band in bands]
            axes.fill_between(ns, low, high, color=tint, alpha=0.12, linewidth=0)
            axes.plot(curve.peak.n, gains[ns.index(curve.peak.n)], color=tint, marker=style.marker(models.index(name)))
        ends.append((gains[-1], name, tint))
    axes.set_xscale("log", base=2)
    shown = _powers(max(ns))
    axes.set_xticks(shown, [str(n) for n in shown])
    axes.minorticks_off()
    axes.axhline(0, color=style.FAINT, linewidth=0.8, zorder=0)
    return ends


def _shown(curve: Curve) -> list[int]:
    """Indices of the points that the table has: the power of two about halfway to the largest n, and that."""
    last = len(curve.points)
    return sorted({2 ** (last.bit_length() // 2) - 1, last - 1})


def _peak(curve: Curve) -> str:
    if curve.peak.ci95 is None:
        return str(curve.peak.n)
    return f"{curve.peak.n} [{curve.peak.ci95[0]}, {curve.peak.ci95[1]}]"


def _powers(most: int) -> list[int]:
    """1, 2, 4 and so on, up to the largest n."""
    return [2**k for k in range(most.bit_length())]
