"""How sure a reward is: the Laplace approximation of the last layer.

Given the features below it, the head is Bayesian logistic regression on differences of features (MacKay 1992; last
layer alone: Daxberger et al. 2021, arXiv 2106.14806). A margin is unsure where its features differ in directions in
which the preferences that were seen do not differ. Pure functions; the head itself stays as it is.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigh
from scipy.special import expit

from rewardsmith.evaluation.pairs import FloatArray


def posterior_factor(x: FloatArray, margins: FloatArray, weights: FloatArray) -> FloatArray:
    """F [width, width] with F'F = (X'SX + λ D²)⁻¹, the posterior covariance of the head's weights.

    S = diag(w σ'(m)), D = diag(root mean square of each feature's differences), and λ the prior's precision. The prior
    N(0, (λ D²)⁻¹) is the one under which margins vary as much as the head's own do (empirical Bayes by moments: λ =
    mean of |D⁻¹x|² / mean of m²), so that a standard error is at most about the spread of the margins, which is
    knowing nothing, and falls from there with what the pairs tell.

    Args:
        x: differences of features of chosen minus rejected [n, width].
        margins: (n,) on the common scale.
        weights: (n,) that add up to the number of prompts: the pairs of one prompt are not so many judgements.
    """
    scale = np.sqrt((weights[:, None] * x**2).sum(axis=0) / weights.sum())
    scale[scale < 1e-12] = 1.0
    z, p = x / scale, expit(margins)
    precision = float((weights @ z**2).sum() / (weights @ margins**2))
    values, vectors = eigh((z * (weights * p * (1 - p))[:, None]).T @ z)
    factor: FloatArray = (vectors / np.sqrt(np.clip(values, 0.0, None) + precision)).T / scale
    return factor
