"""The result of an evaluation: a versioned, typed file, and all that tables, plots and reports may read.

Version 1 on disk is either one model (`version`, `model`, `sets`) or several (`version`, `models`, `comparisons`).
A figure that is undefined is null, and the `notes` beside it say why. Fields may be added within a version (readers
ignore what they do not know); any other change of meaning needs a new version. Rewards of single preferences are not
in here: they are written by `write_rewards`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rewardsmith.errors import DataError, OutputExistsError

VERSION: Literal[1] = 1

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class ResultPart(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


Typed = TypeVar("Typed", bound=ResultPart)


class Baseline(ResultPart):
    """How a trivial rule does on the same pairs, by the same definition of accuracy."""

    accuracy: Share | None
    ci95: tuple[float, float] | None


class Figures(ResultPart):
    """The figures of one set or one domain. Means give every prompt the same weight unless the name says `pairs`."""

    n_preferences: Count = Field(description="All preferences, failed ones included.")
    n_pairs: Count = Field(description="Ranked pairs of the preferences that did not fail: what the figures rest on.")
    n_prompts: Count = Field(description="Prompts with at least one such pair.")
    n_ties: Count = Field(description="Pairs left out because their scores are equal.")
    n_identical: Count = Field(description="Pairs left out because their texts are equal.")
    n_failed: Count = Field(description="Preferences without finite rewards, left out.")
    n_reward_ties: Count = Field(default=0, description="Ranked pairs with equal rewards; they count as half right.")
    accuracy: Share | None = Field(description="Mean over prompts of the share of the prompt's pairs ranked right.")
    accuracy_pairs: Share | None = Field(description="Share of all pairs ranked right.")
    accuracy_without_plain: Share | None = Field(description="`accuracy` without pairs that involve the plain answer.")
    ci95: tuple[float, float] | None = Field(description="Interval of `accuracy`, BCa bootstrap over clusters.")
    nll: float | None = Field(description="Mean of -log sigmoid(margin), nats; 0.693 is knowing nothing.")
    ece: Share | None = Field(description="Debiased calibration error (root of the square).")
    ece_plain: Share | None = Field(default=None, description="The usual, biased ECE on the same bins.")
    brier: Share | None = Field(description="Mean of (1 - sigmoid(margin))^2; 0.25 is knowing nothing.")
    mean_margin: float | None = Field(description="Mean reward of chosen minus reward of rejected.")
    mrr: Share | None = Field(description="Mean reciprocal rank of the best of more than two responses.")
    kendall_tau: Annotated[float, Field(ge=-1, le=1)] | None = Field(description="Mean tau-b, more than two responses.")
    baselines: dict[str, Baseline] = Field(default_factory=dict)
    notes: list[str] = Field(default_factory=list, description="Why a figure is undefined or to be read with care.")


class CalibrationBin(ResultPart):
    """Confidence is sigmoid(|margin|); accuracy how often the response with the higher reward is the preferred one."""

    confidence: Share
    accuracy: Share
    n_pairs: Count
    standard_error: float | None


class Histogram(ResultPart):
    """k + 1 edges and k counts of pairs; margins beyond the ends count in the outermost bars."""

    edges: list[float]
    counts: list[int]


class SetResult(Figures):
    """One evaluation set: its figures, the same for each of its domains, and what its plots need."""

    mean_domain_accuracy: Share | None = Field(default=None, description="Plain mean of the domains' accuracies.")
    domains: dict[str, Figures] = Field(default_factory=dict, description="Filled when there are several.")
    calibration: list[CalibrationBin] = Field(default_factory=list)
    margins: Histogram = Field(default_factory=lambda: Histogram(edges=[], counts=[]))


class ModelResult(ResultPart):
    """One model on all sets."""

    version: Literal[1] = VERSION
    model: str
    sets: dict[str, SetResult]
    remarks: list[str] = Field(default_factory=list, description="General pairs unlike those of its certificate.")


class Comparison(ResultPart):
    """Two models on the same pairs of one set, or of one of its domains."""

    set: str
    model_a: str
    model_b: str
    difference: float | None = Field(description="Accuracy of model_a minus accuracy of model_b, from -1 to 1.")
    ci95: tuple[float, float] | None = Field(description="BCa bootstrap over clusters of the paired difference.")
    p_value: Share | None = Field(description="Two-sided, by sign flips of clusters; not corrected for repeats.")
    n_prompts: Count
    n_pairs: Count = 0
    n_left_out: Count = Field(default=0, description="Preferences that failed under either model.")
    notes: list[str] = Field(default_factory=list)


Decision = Literal["within", "exceeded", "undecided"]
"""A loss is proved to be within the budget, proved to exceed it, or neither."""


class Verdict(ResultPart):
    """Whether a model lost no more than a budget against another, on one set or on all together."""

    set: str
    budget: Annotated[float, Field(gt=0, le=1)] = Field(description="Largest loss allowed; 0.01 is one point.")
    confidence: float = Field(description="Percent; each of within and exceeded is wrong with at most the rest.")
    metric: str = "accuracy"
    verdict: Decision
    bound: float = Field(
        description="Loss that is excluded at this confidence, had no other model been tested on these preferences; "
        "negative where a gain is proved."
    )
    difference: float | None = Field(description="After minus before, mean over prompts.")
    ci95: tuple[float, float] | None = Field(description="BCa bootstrap over prompts: the usual, asymptotic answer.")
    trinomial_p: Share | None = Field(
        default=None, description="Exact unconditional p-value of a loss of the budget or more; one pair a prompt only."
    )
    n_prompts: Count
    flipped: Share | None = Field(description="Share of prompts on which the two models differ.")


class EvaluationResult(ResultPart):
    """Several models and their comparisons."""

    version: Literal[1] = VERSION
    models: list[ModelResult]
    comparisons: list[Comparison] = Field(default_factory=list)
    verdicts: list[Verdict] = Field(default_factory=list, description="Of `evaluate --against ... --budget ...`.")


def save_result(path: str | Path, result: ResultPart, *, overwrite: bool = False) -> None:
    """Writes the result as JSON, whole or not at all; raises OutputExistsError when the file is there already."""
    target = Path(path)
    if target.exists() and not overwrite:
        raise OutputExistsError(f"{target} exists already: choose another path or allow overwriting")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".partial")
    partial.write_text(result.model_dump_json(indent=2) + "\n", encoding="utf-8")
    os.replace(partial, target)


def load_result(path: str | Path) -> EvaluationResult:
    """Reads a result of either shape; one model comes back as a list of one without comparisons.

    Raises DataError for a file that is no result, and for a version that this program does not know.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error})") from error
    _check_version(path, data)
    try:
        if "models" in data:
            return EvaluationResult.model_validate(data)
        return EvaluationResult(models=[ModelResult.model_validate(data)])
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{path}: not a version {VERSION} result, field '{where}': {first['msg']}") from error


def load_typed(path: Path, kind: type[Typed], command: str, owner: str) -> Typed:
    """Reads the result file that `command` wrote; raises DataError for any other, and names what to give instead."""
    try:
        return kind.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); name {owner}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DataError(f"{path}: no result of {command} that this version reads ({where}: {first['msg']})") from error


def _check_version(path: str | Path, data: Any) -> None:
    version = data.get("version") if isinstance(data, dict) else None
    if not isinstance(version, int) or isinstance(version, bool):
        raise DataError(f"{path}: not an evaluation result, it has no version number")
    if version > VERSION:
        raise DataError(
            f"{path}: version {version} of the evaluation result, but this Rewardsmith reads up to version {VERSION}: "
            "upgrade Rewardsmith or evaluate again"
        )
    if version < VERSION:
        raise DataError(f"{path}: there is no version {version} of the evaluation result, evaluate again")
