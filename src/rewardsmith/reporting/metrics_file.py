"""Reads the metrics that a training run journals, one JSON object a line.

A line is `{"stage": str, "step": int, "epoch": float, "loss": float?, "accuracy": {set name: float}?}`; other keys are
left alone. A run that was cut off leaves half a line at the end, and that is no error.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rewardsmith.errors import DataError


@dataclass(frozen=True)
class MetricPoint:
    """What was measured at one step of one stage; steps count from the start of their stage."""

    stage: str
    step: int
    epoch: float | None = None
    loss: float | None = None
    accuracy: dict[str, float] = field(default_factory=dict)


def read_metrics(path: str | Path) -> list[MetricPoint]:
    """All points in the order of the file; a torn last line is passed over.

    A loss or accuracy that is null or not finite is left out: it was not measured. Raises DataError with file, line
    and reason for any other bad line.
    """
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    lines = text.split("\n")
    points = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            if number == len(lines):  # no newline after it: the run was cut off while writing
                break
            raise DataError(f"{path}, line {number}: not JSON ({error})") from error
        points.append(_point(row, f"{path}, line {number}"))
    return points


def _point(row: Any, where: str) -> MetricPoint:
    if not isinstance(row, dict):
        raise DataError(f"{where}: not a JSON object")
    stage, step, accuracy = row.get("stage"), row.get("step"), row.get("accuracy") or {}
    if not isinstance(stage, str):
        raise DataError(f"{where}: field 'stage' is not a name")
    if not isinstance(step, int) or isinstance(step, bool):
        raise DataError(f"{where}: field 'step' is not a whole number")
    if not isinstance(accuracy, dict):
        raise DataError(f"{where}: field 'accuracy' is not an object of set names and numbers")
    measured = {name: value for name, raw in accuracy.items() if (value := _finite(raw)) is not None}
    return MetricPoint(stage, step, _finite(row.get("epoch")), _finite(row.get("loss")), measured)


def _finite(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
