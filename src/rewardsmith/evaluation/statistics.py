"""Intervals and tests that know that the pairs of one prompt (or one annotator) are not independent.

Pure functions on numpy arrays: values (n,), clusters (n,) and weights (n,), all seeded. The unit that is resampled or
flipped is the cluster. What cannot be known from fewer than two clusters is None, never an interval of width 0.
"""

from __future__ import annotations

import itertools
from statistics import NormalDist

import numpy as np

from rewardsmith.evaluation.pairs import FloatArray, IntArray

Interval = tuple[float, float]

N_RESAMPLES = 2000
N_FLIPS = 9999
EXACT_UP_TO = 12
_CHUNK = 2_000_000  # random numbers held at once: keeps memory near 16 MB whatever the number of clusters


def cluster_bootstrap(
    values: FloatArray,
    clusters: IntArray,
    weights: FloatArray,
    *,
    seed: int = 0,
    level: float = 0.95,
    n_resamples: int = N_RESAMPLES,
) -> Interval | None:
    """BCa interval (Efron 1987) of the weighted mean of `values`, resampling whole clusters.

    None when there are fewer than two clusters or when all clusters have the same mean: resampling then shows no
    spread, which is ignorance and not certainty. With clusters by prompt and `prompt_weights`, each resample is the
    mean over prompts; with other clusters the weights of the pairs stay as given (a ratio estimate).
    """
    sums, masses = cluster_sums(values, clusters, weights)
    if len(sums) < 2 or np.ptp(sums / masses) < 1e-12:
        return None
    estimate = float(sums.sum() / masses.sum())
    resampled = _resample(sums, masses, n_resamples, seed)
    low, high = np.quantile(resampled, _bca_levels(estimate, resampled, sums, masses, level))
    return float(low), float(high)


def sign_flip_p_value(
    differences: FloatArray, clusters: IntArray, weights: FloatArray, *, seed: int = 0, n_flips: int = N_FLIPS
) -> float | None:
    """Two-sided p-value of "the mean difference is 0" by flipping the sign of whole clusters.

    Under the null the two models could be swapped within any cluster. All 2^c sign patterns are enumerated for up to
    12 clusters with a difference, else `n_flips` are drawn and p = (hits + 1) / (n_flips + 1) (Phipson and Smyth
    2010), which never is 0 and keeps the stated level. None with fewer than two clusters.
    """
    sums, _ = cluster_sums(differences, clusters, weights)
    if len(sums) < 2:
        return None
    moving = sums[np.abs(sums) > 1e-15]  # a cluster without a difference is the same after a flip
    if not len(moving):
        return 1.0
    observed = abs(float(moving.sum())) - 1e-12 * float(np.abs(moving).sum())  # equal sums may differ in rounding
    if len(moving) <= EXACT_UP_TO:
        signs = np.array(list(itertools.product((-1.0, 1.0), repeat=len(moving))))
        return float(np.mean(np.abs(signs @ moving) >= observed))
    rng = np.random.default_rng(seed)
    hits, chunk = 0, max(1, _CHUNK // len(moving))
    for start in range(0, n_flips, chunk):
        size = (min(chunk, n_flips - start), len(moving))
        signs = 2.0 * rng.integers(0, 2, size=size, dtype=np.int8) - 1.0
        hits += int(np.sum(np.abs(signs @ moving) >= observed))
    return (hits + 1) / (n_flips + 1)


def cluster_sums(values: FloatArray, clusters: IntArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(c,) weighted sums and (c,) weights of the c clusters; sum of the first over sum of the second is the mean."""
    _, inverse = np.unique(clusters, return_inverse=True)
    sums: FloatArray = np.bincount(inverse, weights=weights * values).astype(np.float64)
    return sums, np.bincount(inverse, weights=weights).astype(np.float64)


def _resample(sums: FloatArray, masses: FloatArray, n_resamples: int, seed: int) -> FloatArray:
    """(n_resamples,) weighted means over clusters drawn with replacement."""
    rng = np.random.default_rng(seed)
    c = len(sums)
    means = np.empty(n_resamples)
    chunk = max(1, _CHUNK // c)
    for start in range(0, n_resamples, chunk):
        drawn = rng.integers(0, c, size=(min(chunk, n_resamples - start), c), dtype=np.int32)
        means[start : start + len(drawn)] = sums[drawn].sum(axis=1) / masses[drawn].sum(axis=1)
    return means


def _bca_levels(
    estimate: float, resampled: FloatArray, sums: FloatArray, masses: FloatArray, level: float
) -> tuple[float, float]:
    """The two quantiles of the resampled means at which the BCa interval ends (Efron and Tibshirani 1993, 14.10).

    Where the estimate lies outside all resamples the correction is not defined, and the plain percentiles serve.
    """
    tails = ((1 - level) / 2, (1 + level) / 2)
    below = float(np.mean(resampled < estimate - 1e-12) + np.mean(np.abs(resampled - estimate) <= 1e-12) / 2)
    if not 0 < below < 1:
        return tails
    normal = NormalDist()
    bias = normal.inv_cdf(below)
    jackknife = (sums.sum() - sums) / (masses.sum() - masses)
    lean = jackknife.mean() - jackknife
    acceleration = float((lean**3).sum() / (6 * (lean**2).sum() ** 1.5))
    shifted = [bias + normal.inv_cdf(t) for t in tails]
    low, high = (normal.cdf(bias + z / (1 - acceleration * z)) for z in shifted)
    return low, high
