"""The result of one benchmark: versioned and typed like the result of an evaluation, and all that its table reads."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from rewardsmith.evaluation.result import Count, ResultPart

VERSION: Literal[1] = 1


class Figure(ResultPart):
    """One score. RewardBench 2's Ties may pass 0 and 1 by a hundredth."""

    score: float
    ci95: tuple[float, float] | None = Field(description="BCa bootstrap over prompts; null where nothing varies.")
    n_prompts: Count


class Section(Figure):
    """A section's score and those of its subsets."""

    subsets: dict[str, Figure] = Field(default_factory=dict, description="Filled when there are several.")


class Published(ResultPart):
    """A published score, as a share."""

    model: str
    score: float


class Rank(ResultPart):
    """Where the overall score would stand among published ones, compared to a tenth of a point as they are printed."""

    position: int = Field(description="From 1; one more than the listed models that are better.")
    listed: Count
    above: Published | None = Field(description="The listed model next above, if any.")
    below: Published | None = Field(description="The listed model next below or equal, if any.")
    source: str
    date: str


class BenchmarkResult(ResultPart):
    """One model on one suite, whole."""

    version: Literal[1] = VERSION
    suite: str
    model: str
    overall: Figure | None = Field(description="Null where the suite publishes no single figure.")
    sections: dict[str, Section]
    details: dict[str, Figure] = Field(default_factory=dict, description="What the suite publishes besides.")
    n_rows: Count
    n_responses: Count
    fingerprint: str = Field(description="Hash of prompts and responses: equal files have equal ones.")
    n_seen: Count | None = Field(description="Rows whose prompt the model was trained on; null where it cannot say.")
    rank: Rank | None = None
    notes: list[str] = Field(default_factory=list)
