"""The result of `calibrate`: a versioned, typed file, and all that its tables and its plot may read.

All figures stand on the test part, which nothing was fitted on and nothing chosen by. Means give every prompt the same
weight. What is undefined is null.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from rewardsmith.evaluation.result import CalibrationBin, Count, ResultPart, Share, load_typed

Interval = tuple[float, float]


class Reading(ResultPart):
    """One way to read probabilities from the rewards, and how far they can be believed."""

    accuracy: Share | None
    ci95: Interval | None
    nll: float | None = Field(description="Mean of -log probability of the preferred response, nats; 0.693 is a coin.")
    ece_plain: Share | None = Field(description="The usual ECE, biased upwards.")
    ece: Share | None = Field(description="Debiased calibration error (root of the square).")
    ece_ci95: Interval | None = Field(description="Percentile bootstrap over prompts.")
    slope: float = Field(description="Calibration slope (Cox 1958): 1 is right, below 1 overconfident, 0 no sign.")
    bins: list[CalibrationBin]


class Halves(ResultPart):
    """Accuracy on the half of the pairs that the model is surer of, and on the rest."""

    surer: Share | None
    rest: Share | None
    difference: float | None
    ci95: Interval | None = Field(description="BCa bootstrap over prompts of the difference.")


class LengthEffect(ResultPart):
    """What length does to the rewards, before and after it is taken out. Pairs of equal length have no longer one."""

    explained: tuple[Share | None, Share | None] = Field(description="Share of the margins' variance.")
    longer_wins: Share | None = Field(description="How often the longer response is the preferred one.")
    prefers_longer: tuple[Share | None, Share | None] = Field(description="How often it has the higher reward.")
    accuracy: tuple[Share | None, Share | None]
    longer_chosen: tuple[Share | None, Share | None] = Field(description="Accuracy where the longer is preferred.")
    shorter_chosen: tuple[Share | None, Share | None] = Field(description="Accuracy where the shorter is preferred.")
    difference: float | None = Field(description="Accuracy after minus before.")
    ci95: Interval | None


class CalibrationResult(ResultPart):
    """What `calibrate` found."""

    version: Literal[1] = 1
    model: str
    data: str
    seed: int
    temperature: float = Field(gt=0, description="What the rewards are divided by.")
    offset: float
    n_prompts: dict[str, Count] = Field(description="By part: fit, test.")
    n_pairs: dict[str, Count]
    readings: dict[str, Reading] = Field(description="By way to read: as it was, temperature, isotonic, moderated.")
    halves: dict[str, Halves] = Field(description="By what says which half is surer.")
    coefficient: float = Field(description="Reward for each unit of log length, within a prompt.")
    length: LengthEffect
    standard_error: float | None = Field(description="Mean standard error of a margin; null without a posterior.")
    notes: list[str] = Field(default_factory=list)
    command: list[str] = Field(default_factory=list)
    versions: dict[str, str] = Field(default_factory=dict)
    seconds: float = Field(default=0.0, ge=0)


def load_calibration(path: Path) -> CalibrationResult:
    """Reads `calibration/result.json` of a calibrated model; raises DataError for any other file."""
    return load_typed(path, CalibrationResult, "calibrate", "that of a calibrated model")
