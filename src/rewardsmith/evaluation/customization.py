"""The result of a customisation: a versioned, typed file, and all that its report may read.

Budgets and bounds are in points, as users give them; accuracies and differences are shares, as in every result.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from rewardsmith.evaluation.result import CalibrationBin, Count, ResultPart, Share, Verdict, load_typed
from rewardsmith.preferences.audit import AuditReport

NO_METHOD = "none"
"""Method of a run that gives the general model back."""


class Change(ResultPart):
    """A figure of the general model, and of the customised one on the same preferences."""

    before: float | None
    after: float | None
    difference: float | None
    ci95: tuple[float, float] | None = Field(description="BCa bootstrap over prompts of the paired difference.")
    n_prompts: Count


class GeneralChange(Change):
    """On all general sets together, every prompt counting once, and on each."""

    sets: dict[str, Change]


class Candidate(ResultPart):
    """A model that was considered. Its figures are from the choosing part: the best of many is flattered there."""

    name: str
    method: str
    settings: dict[str, float | int | str]
    strength: float = Field(description="How far it is from the general model: 0 is that model, 1 the method's end.")
    custom: float = Field(description="Gain on the custom preferences, choosing part.")
    general: float = Field(description="Change on all general sets together, choosing part.")
    on_path: bool = Field(default=False, description="Whether it stands on the path that is certified.")
    place: int | None = Field(default=None, description="On the path, from the general model outwards; the first is 1.")
    verdicts: list[Verdict] = Field(default_factory=list, description="Empty where the walk did not come this far.")
    chosen: bool = False


class Flip(ResultPart):
    """A general pair of the test part that one of the two models ranks right and the other wrong."""

    set: str
    prompt: str
    chosen: str
    rejected: str
    before: float = Field(description="Reward of the chosen minus that of the rejected response, general model.")
    after: float


class CurvePoint(ResultPart):
    """What was measured at a step of training; a loss may stand for several steps that end there."""

    step: Count
    loss: float | None
    accuracy: dict[str, Share] = Field(default_factory=dict, description="By set of the validation part.")


class LearningCurve(ResultPart):
    """One stage of one training run."""

    run: str = Field(description="The method, or the run's folder below it.")
    stage: str
    points: list[CurvePoint]


class Reliability(ResultPart):
    """How far the sigmoid of a margin can be read as the probability of being preferred."""

    ece: Share | None = Field(description="Debiased calibration error (root of the square).")
    ece_ci95: tuple[float, float] | None = Field(description="Percentile bootstrap over prompts.")
    ece_plain: Share | None = Field(description="The usual ECE, biased upwards.")
    bins: list[CalibrationBin]


class CalibrationChange(ResultPart):
    """Of the general model, and of the customised one on the same preferences."""

    before: Reliability
    after: Reliability


class Customization(ResultPart):
    """What `customize` found."""

    version: Literal[1] = 1
    certified: bool = Field(description="Whether the model in RUN/model is proved to be within every budget.")
    budget: float | None = Field(description="Points of the metric that may be lost on all general sets together.")
    budgets: dict[str, float] = Field(description="All budgets in points, by set.")
    confidence: float
    metric: str
    bound: float = Field(
        description="Points whose loss is excluded on the first budget's sets: the budget itself, or less where the "
        "whole path was within it; below 0 is a gain."
    )
    method: str
    settings: dict[str, float | int | str] = Field(default_factory=dict)
    strength: float
    domain: str
    general_model: str
    general: GeneralChange = Field(description="On the test part, opened after the choice.")
    custom: Change = Field(description="On the test part, opened after the choice.")
    unconstrained: Change | None = Field(
        default=None, description="The best custom model whatever it costs, same part."
    )
    verdicts: list[Verdict] = Field(default_factory=list, description="Of the model that was chosen.")
    candidates: list[Candidate]
    parts: dict[str, dict[str, Annotated[int, Field(ge=0)]]] = Field(description="Prompts by set and part.")
    flips: list[Flip] = Field(default_factory=list)
    calibration: dict[str, CalibrationChange] = Field(default_factory=dict, description="By set, on the test part.")
    curves: list[LearningCurve] = Field(default_factory=list, description="Of the methods that train.")
    audits: dict[str, AuditReport] = Field(
        default_factory=dict, description="By set, of the preferences that were used."
    )
    recipes: dict[str, str] = Field(default_factory=dict, description="Resolved, as YAML, of the methods that train.")
    options: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="What may not change between a run and its continuation; data as fingerprints.",
    )
    notes: list[str] = Field(default_factory=list)
    command: list[str] = Field(default_factory=list)
    versions: dict[str, str] = Field(default_factory=dict)
    seconds: float = Field(ge=0)


def load_customization(path: Path) -> Customization:
    """Reads `result.json` of a customisation; raises DataError for any other file."""
    return load_typed(path, Customization, "customize", "the folder of a customize run")
