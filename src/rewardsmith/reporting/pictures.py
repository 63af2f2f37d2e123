"""Where the points and lines of a page's pictures lie; their colours are the page's. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rewardsmith.evaluation.customization import Candidate, Customization, LearningCurve, Reliability

_RIGHT, _TOP = 16, 16

Range = tuple[float, float]


@dataclass(frozen=True)
class Frame:
    """A picture's axes, in its own units: from the values on them to places."""

    x_ticks_at: list[float]
    y_ticks_at: list[float]
    width: int = 720
    height: int = 380
    left: int = 64
    below: int = 52
    """Room under the horizontal axis."""

    @property
    def bottom(self) -> int:
        """Where the horizontal axis lies."""
        return self.height - self.below

    @property
    def right(self) -> int:
        """Where the plane ends."""
        return self.width - _RIGHT

    @property
    def top(self) -> int:
        """Where the plane begins."""
        return _TOP

    def x(self, value: float) -> float:
        """The place of a value on the horizontal axis."""
        return self.left + _share(value, self.x_ticks_at) * (self.right - self.left)

    def y(self, value: float) -> float:
        """The place of a value on the vertical axis."""
        return self.bottom - _share(value, self.y_ticks_at) * (self.bottom - _TOP)

    @property
    def x_ticks(self) -> list[tuple[float, str]]:
        """Places and labels."""
        return [(self.x(t), f"{t:g}") for t in self.x_ticks_at]

    @property
    def y_ticks(self) -> list[tuple[float, str]]:
        """Places and labels."""
        return [(self.y(t), f"{t:g}") for t in self.y_ticks_at]


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
    """Gain against cost."""

    frame: Frame
    marks: list[Mark]
    budget_x: float | None
    zero: tuple[float, float]


def front_of(result: Customization) -> Front:
    """Every candidate by its change of general accuracy (x) and its gain (y), choosing part."""
    general = [100 * c.general for c in result.candidates] + [0.0]
    custom = [100 * c.custom for c in result.candidates] + [0.0]
    line = -result.budget if result.budget is not None else None
    frame = Frame(
        ticks(min([*general, line or 0.0]), max(general), at_least=1.0), ticks(min(custom), max(custom), at_least=1.0)
    )
    order = ["other", "path", "failed", "within", "chosen"]
    marks = [
        Mark(
            frame.x(100 * c.general),
            frame.y(100 * c.custom),
            _kind(c),
            f"{c.name}: custom {100 * c.custom:+.1f}, general {100 * c.general:+.1f}",
        )
        for c in result.candidates
    ]
    return Front(
        frame,
        sorted(marks, key=lambda m: order.index(m.kind)),
        frame.x(line) if line is not None else None,
        (frame.x(0.0), frame.y(0.0)),
    )


def _kind(c: Candidate) -> str:
    if c.chosen:
        return "chosen"
    if c.verdicts:
        return "within" if all(v.verdict == "within" for v in c.verdicts) else "failed"
    return "path" if c.on_path else "other"


@dataclass(frozen=True)
class Line:
    """`points` as SVG has them; `bars` are (x, y, low, high) of points that have an interval."""

    kind: str
    points: str
    bars: list[tuple[float, float, float, float]]


@dataclass(frozen=True)
class Picture:
    """Lines on a small plane."""

    frame: Frame
    lines: list[Line]


def loss_picture(curve: LearningCurve) -> Picture | None:
    """A stage's loss over its steps; None where none was measured."""
    measured = [(float(p.step), p.loss) for p in curve.points if p.loss is not None]
    return _picture(measured) if measured else None


def accuracy_pictures(curve: LearningCurve) -> dict[str, Picture]:
    """For every set that was looked at while training, its accuracy, %, over the steps."""
    series: dict[str, list[tuple[float, float]]] = {}
    for p in curve.points:
        for name, accuracy in p.accuracy.items():
            series.setdefault(name, []).append((float(p.step), 100 * accuracy))
    return {name: _picture(points) for name, points in series.items()}


def reliability_picture(before: Reliability, after: Reliability) -> Picture:
    """Ranked right, %, against stated confidence, %, of the two models; bars are 95 %."""
    low = min([50.0, *(100 * b.accuracy for r in (before, after) for b in r.bins)])
    frame = _small(ticks(50, 100), ticks(low, 100))
    diagonal = [(50.0, 50.0), (100.0, 100.0)]
    lines = [_line(frame, "ideal", diagonal)]
    for kind, reading in (("before", before), ("after", after)):
        points = [(100 * b.confidence, 100 * b.accuracy) for b in reading.bins]
        lines.append(_line(frame, kind, points, [196 * (b.standard_error or 0.0) for b in reading.bins]))
    return Picture(frame, lines)


def ticks(low: float, high: float, at_least: float = 0.0) -> list[float]:
    """Round numbers from at or below `low` to at or above `high`, some five of them.

    Args:
        at_least: what the axis spans where the two are nearer to each other.
    """
    span = max(high - low, at_least) or abs(high) or 1.0
    step = next(m * 10.0**k for k in range(-9, 9) for m in (1, 2, 5) if span / (m * 10.0**k) <= 7)
    first = int(low // step)
    last = int(-(-high // step))
    return [round(step * k, 9) for k in range(first, max(last, first + 1) + 1)]


def _picture(points: Sequence[tuple[float, float]]) -> Picture:
    """One line, over steps from 0."""
    values = [y for _, y in points]
    frame = _small(ticks(0, max(x for x, _ in points)), ticks(min(values), max(values)))
    return Picture(frame, [_line(frame, "after", points)])


def _small(x_ticks: list[float], y_ticks: list[float]) -> Frame:
    return Frame(x_ticks, y_ticks, width=360, height=240, left=56, below=44)


def _line(frame: Frame, kind: str, points: Sequence[tuple[float, float]], half: Sequence[float] = ()) -> Line:
    """A line, with an interval of ± `half` at each point, cut off where the plane ends."""
    ends = (frame.y_ticks_at[0], frame.y_ticks_at[-1])
    bars = [
        (frame.x(x), frame.y(y), frame.y(max(y - h, ends[0])), frame.y(min(y + h, ends[1])))
        for (x, y), h in zip(points, half, strict=False)
    ]
    return Line(kind, " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in points), bars)


def _share(value: float, at: Sequence[float]) -> float:
    return (value - at[0]) / (at[-1] - at[0])
