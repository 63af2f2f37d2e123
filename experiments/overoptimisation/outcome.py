"""What the experiment found, and the names by which proxies go."""

from __future__ import annotations

from typing import NamedTuple

from rewardsmith.evaluation.customization import Customization
from rewardsmith.evaluation.optimisation import Curve
from rewardsmith.evaluation.pairs import FloatArray

QUERIES, GIVEN = 40, 80
"""DSP queries that the policy answers, and others whose preferences a proxy is given: `customize` learns from three
fifths of them, a tenth of all, and chooses and tests by the rest."""
FREE = "no budget"
GENERAL = "general"


class Gold(NamedTuple):
    """A gold model of one domain: its rewards [p, N] of the policy's responses, and its accuracy on held-out ones."""

    rewards: FloatArray
    accuracy: float | None
    ridge: float


class Difference(NamedTuple):
    """Gain without a budget less that within it, at one n."""

    n: int
    mean: float
    ci95: tuple[float, float] | None


class Outcome(NamedTuple):
    """One domain: curves by gold, `customize` runs by proxy, how far each proxy agrees with people and with gold."""

    curves: dict[str, dict[str, Curve]]
    runs: dict[str, Customization]
    agreement: dict[str, tuple[float | None, float]]
    differences: dict[str, list[Difference]]
