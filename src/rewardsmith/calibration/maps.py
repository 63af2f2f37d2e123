"""From a margin to the probability that the response with the higher reward is the preferred one.

Two maps, fitted on pairs that are judged nowhere else: one temperature, and a monotone curve. Pure functions on the
margins (n,) of chosen minus rejected and on weights (n,) that add up to 1. Both maps are antisymmetric, g(-m) = 1 -
g(m): which response is written first must not matter.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from rewardsmith.evaluation.pairs import FloatArray
from rewardsmith.modeling.calibration import IsotonicMap

_REACH = 1e4
"""Slopes are looked for up to this many units per spread of the margins."""

_ROUNDING = 1e-9


def fit_slope(margins: FloatArray, weights: FloatArray, n: int) -> float:
    """The slope a = 1/T that minimises the negative log likelihood of P(i over j) = σ(a (r_i - r_j)); 0 where no
    positive one does, for then a higher reward is no sign of being preferred.

    Temperature scaling (Guo et al. 2017, arXiv 1706.04599, section 4.2) with Platt's targets (Platt 1999): the n
    units that the margins come from are held to prove no more than (n + 1) / (n + 2), so that a few pairs that are all
    right give no infinite slope. The derivative Σ w m (t - σ(a m)) falls in a, so its root is found by bisection.
    """
    spread = float(np.sqrt(weights @ margins**2))
    if spread == 0:
        return 0.0
    target, m = platt_target(n), margins / spread

    def derivative(slope: float) -> float:
        return float(weights @ (m * (target - expit(slope * m))))

    if derivative(0.0) <= 0:
        return 0.0
    return float(brentq(derivative, 0.0, _REACH, xtol=1e-12)) / spread if derivative(_REACH) < 0 else _REACH / spread


def fit_isotonic(margins: FloatArray, weights: FloatArray, n: int) -> IsotonicMap:
    """The monotone map with the least squared error (Zadrozny and Elkan 2002), by pool adjacent violators.

    Every pair is entered in both orientations, (m, 1) and (-m, 0). If g is a solution then so is 1 - g(-m), and there
    is one only: the map is antisymmetric, 0.5 at 0, and its half above 0 is all of it. Probabilities end at Platt's
    target: no finite data prove certainty.
    """
    from sklearn.isotonic import IsotonicRegression

    both = np.concatenate([margins, -margins])
    regression = IsotonicRegression().fit(both, np.repeat([1.0, 0.0], len(margins)), sample_weight=np.tile(weights, 2))
    knots, levels = regression.X_thresholds_, regression.y_thresholds_
    levels = np.where(np.abs(levels - 0.5) < _ROUNDING, 0.5, np.clip(levels, 0.5, platt_target(n)))
    above = knots > 0
    return IsotonicMap(margins=[0.0, *knots[above].tolist()], probabilities=[0.5, *levels[above].tolist()])


def platt_target(n: int) -> float:
    """(n + 1) / (n + 2): what n units that all say yes are held to prove (Platt 1999, equation 16)."""
    return (n + 1) / (n + 2)
