"""The report of customisations: one HTML file that works offline, made of their results alone.

The page is a Jinja template; where points and lines of its picture lie is worked out here, its colours are the page's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from rewardsmith.evaluation.customization import NO_METHOD, Candidate, Customization
from rewardsmith.reporting.format import difference_with_interval, percent, signed_percent

LIMITS = (
    "The proof is about general preferences like those it was made with: the same distribution of prompts, and labels "
    "as they are. It says nothing of other prompts. Its error rate is that of one run: of many runs, some may be wrong."
)

WIDTH, HEIGHT = 720, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 16, 52


def verdict_sentence(result: Customization) -> str:
    """The verdict in plain words."""
    budget = ", ".join(f"{points:g} points on {name}" for name, points in result.budgets.items())
    if result.method == NO_METHOD and not any(c.on_path for c in result.candidates):
        return (
            f"No candidate for {result.domain} gains anything on the preferences kept for choosing: the model is the "
            "general one, unchanged."
        )
    if result.method == NO_METHOD:
        return (
            f"No candidate for {result.domain} could be proved to lose no more than {budget}: the model is the general "
            "one, unchanged."
        )
    gain = difference_with_interval(result.custom.difference, result.custom.ci95)
    lost = f"at most {result.bound:.1f} points" if result.bound > 0 else "no points"
    return (
        f"The model prefers as {result.domain} does in {percent(result.custom.after)} % of unseen pairs, {gain} points "
        f"against the general model. It is proved, at {result.confidence:g} %, to have lost {lost} of general "
        f"{result.metric}; allowed were {budget}."
    )


def write_report(results: Sequence[Customization], path: Path) -> None:
    """Writes the page for one run, or for several side by side."""
    environment = Environment(
        loader=PackageLoader("rewardsmith.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "signed": signed_percent}
    environment.globals |= {
        "interval": difference_with_interval,
        "limits": LIMITS,
        "front": front_of,
        "sentence": verdict_sentence,
    }
    page = environment.get_template("customization.html.j2").render(results=results)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")


@dataclass(frozen=True)
class Mark:
    """A candidate in the picture."""

    x: float
    y: float
    kind: str
    """chosen, within, failed (tested and not within), path (not reached) or other."""
    label: str


@dataclass(frozen=True)
class Front:
    """Gain against cost, in the picture's own units."""

    width: int
    height: int
    bottom: int
    left: int
    marks: list[Mark]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    budget_x: float | None
    zero: tuple[float, float]


def front_of(result: Customization) -> Front:
    """Every candidate by its change of general accuracy (x) and its gain (y), choosing part."""
    general = [100 * c.general for c in result.candidates] + [0.0]
    custom = [100 * c.custom for c in result.candidates] + [0.0]
    line = -result.budget if result.budget is not None else None
    xs = (min([*general, line or 0.0]), max(general))
    ys = (min(custom), max(custom))
    x_ticks, y_ticks = _ticks(*xs), _ticks(*ys)
    x_range, y_range = (x_ticks[0], x_ticks[-1]), (y_ticks[0], y_ticks[-1])

    def across(value: float) -> float:
        return _LEFT + (value - x_range[0]) / (x_range[1] - x_range[0]) * (WIDTH - _LEFT - _RIGHT)

    def down(value: float) -> float:
        return HEIGHT - _BOTTOM - (value - y_range[0]) / (y_range[1] - y_range[0]) * (HEIGHT - _TOP - _BOTTOM)

    order = ["other", "path", "failed", "within", "chosen"]
    marks = [
        Mark(
            across(100 * c.general),
            down(100 * c.custom),
            _kind(c),
            f"{c.name}: custom {100 * c.custom:+.1f}, general {100 * c.general:+.1f}",
        )
        for c in result.candidates
    ]
    return Front(
        WIDTH,
        HEIGHT,
        HEIGHT - _BOTTOM,
        _LEFT,
        sorted(marks, key=lambda m: order.index(m.kind)),
        [(across(t), f"{t:g}") for t in x_ticks],
        [(down(t), f"{t:g}") for t in y_ticks],
        across(line) if line is not None else None,
        (across(0.0), down(0.0)),
    )


def _kind(c: Candidate) -> str:
    if c.chosen:
        return "chosen"
    if c.verdicts:
        return "within" if all(v.verdict == "within" for v in c.verdicts) else "failed"
    return "path" if c.on_path else "other"


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers from at or below `low` to at or above `high`, some five of them."""
    span = max(high - low, 1.0)
    step = next(s for s in (0.25, 0.5, 1, 2, 5, 10, 20, 50) if span / s <= 7)
    first = int(low // step)
    last = int(-(-high // step))
    return [round(step * k, 6) for k in range(first, max(last, first + 1) + 1)]
