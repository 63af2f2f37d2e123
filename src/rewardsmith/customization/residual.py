"""The anchored residual: a small linear head added to the general model's reward, `r = r_general + δ·h`.

On the features h that the general model's last layer reads it is a change δ of that layer's weights, so the customised
model is the general one with another head: portable wherever the general model is. δ = 0 is the general model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.special import expit

from rewardsmith.evaluation.pairs import FloatArray
from rewardsmith.preferences.record import Preference

Known = tuple[FloatArray, FloatArray]
"""Features [r, width] and general rewards [r] of a preference's responses."""


@dataclass(frozen=True)
class PairFeatures:
    """Ranked pairs: differences of features [n, width], the general model's margins [n], and weights [n] that add up to
    1 and give every preference the same share."""

    x: FloatArray
    margins: FloatArray
    weights: FloatArray

    @classmethod
    def of(cls, preferences: Sequence[Preference], known: Sequence[Known]) -> PairFeatures:
        """Of all pairs of the preferences."""
        x, margins, weights = [], [], []
        for p, (features, rewards) in zip(preferences, known, strict=True):
            pairs = p.pairs()
            x += [features[i] - features[j] for i, j in pairs]
            margins += [rewards[i] - rewards[j] for i, j in pairs]
            weights += [1 / len(pairs)] * len(pairs)
        total = sum(weights)
        return cls(np.array(x), np.array(margins), np.array(weights) / total)


def fit_residual(
    custom: PairFeatures,
    general: PairFeatures,
    *,
    ridge: float,
    retention: float,
    held_to: FloatArray | None = None,
) -> FloatArray:
    """The residual δ [width] that minimises, with features in units of their spread over the custom pairs,

        Σ w -log σ(m + δ·x)  over custom pairs  +  ridge/2 |δ|²
        + retention Σ w σ'(t) (m + δ·x - t)² / 2        over general pairs.

    The last term is the second order of distillation, the KL divergence of σ(m + δ·x) from the general model's σ(t): it
    needs no labels, and weighs pairs that are close to a toss, which are those that flip. The problem is convex.

    Args:
        held_to: t [n], the general model's margins, where those of `general` are only what is left of them.
    """
    scale = np.sqrt((custom.weights[:, None] * custom.x**2).sum(axis=0))
    scale[scale < 1e-12] = 1.0
    x, g = custom.x / scale, general.x / scale
    target = general.margins if held_to is None else held_to
    p = expit(target)
    weighed = g * (retention * general.weights * p * (1 - p))[:, None]
    metric, lost = weighed.T @ g, weighed.T @ (general.margins - target)
    metric[np.diag_indices_from(metric)] += ridge

    # In u = Lᵀδ, where metric = L Lᵀ, what is quadratic is |u|²/2: fewer steps, and cheaper ones.
    root = cholesky(metric, lower=True)
    x, lost = solve_triangular(root, x.T, lower=True).T, solve_triangular(root, lost, lower=True)

    def loss(u: FloatArray) -> tuple[float, FloatArray]:
        margins = custom.margins + x @ u
        value = float(custom.weights @ np.logaddexp(0, -margins) + u @ (u / 2 + lost))
        return value, u + lost - x.T @ (custom.weights * expit(-margins))

    found = minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    result: FloatArray = solve_triangular(root, found.x, lower=True, trans="T") / scale
    return result


def fit_head(pairs: PairFeatures, ridge: float) -> FloatArray:
    """The weights [width] of a head of its own: the residual of a model that gives every response 0, which is logistic
    regression with a ridge."""
    nothing = PairFeatures(pairs.x, np.zeros(len(pairs.x)), pairs.weights)
    return fit_residual(nothing, nothing, ridge=ridge, retention=0.0)
