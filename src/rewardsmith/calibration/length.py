"""How much of a reward response length alone explains, within a prompt.

Between prompts length means other things (a long question gets long answers), so rewards and log lengths are compared
within a preference only. Pure functions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rewardsmith.evaluation.pairs import FloatArray
from rewardsmith.modeling.calibration import LengthControl


def fit_length(rewards: Sequence[FloatArray], lengths: Sequence[FloatArray]) -> LengthControl:
    """Least squares of rewards on log lengths with an intercept for each preference (the within or fixed-effects
    estimator): β = Σ (L - L̄)(r - r̄) / Σ (L - L̄)², means over the responses of a preference.

    Args:
        rewards, lengths: for each preference those of its responses.
    """
    r, x = (np.concatenate([v - v.mean() for v in values]) for values in (rewards, lengths))
    spread = float(x @ x)
    coefficient = float(x @ r) / spread if spread > 0 else 0.0
    return LengthControl(coefficient=coefficient, mean=float(np.concatenate(list(lengths)).mean()))


def explained(margins: FloatArray, steps: FloatArray, weights: FloatArray) -> float | None:
    """Share of the margins' variance around 0 that the difference of log lengths (n,) explains: the square of their
    correlation through the origin, for a pair has no natural orientation. None where one of the two is constant 0."""
    norm = float(weights @ margins**2) * float(weights @ steps**2)
    return float(weights @ (margins * steps)) ** 2 / norm if norm > 0 else None


def longer_preferred(margins: FloatArray, steps: FloatArray, weights: FloatArray) -> float | None:
    """How often the longer response has the higher reward, equal rewards counting half; pairs of equal length have no
    longer one. None without any."""
    told = steps != 0
    share = np.heaviside(margins[told] * np.sign(steps[told]), 0.5)
    return float(weights[told] @ share / weights[told].sum()) if told.any() else None
