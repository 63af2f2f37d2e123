"""Whether sigmoid(margin) can be believed as the probability that the chosen response is preferred.

Pure functions on margins (n,), weights (n,) that add up to 1 (`prompt_weights`: every prompt counts the same), and
clusters (n,). A pair has no natural orientation: written as chosen minus rejected its label is always 1 and a
reliability diagram of sigmoid(margin) is meaningless. So calibration is taken on confidence: sigmoid(|margin|), the
stated probability that the response with the higher reward is the preferred one, against whether it is. This equals
entering each pair in both orientations into bins that are symmetric around 0.5, without counting any pair twice,
which would halve the noise that the debiasing has to remove.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rewardsmith.evaluation.pairs import FloatArray, IntArray
from rewardsmith.evaluation.ranking import correctness


@dataclass(frozen=True)
class Binning:
    """At most `max_bins` bins, and fewer where they would hold less than about `clusters_per_bin` clusters' weight."""

    max_bins: int
    clusters_per_bin: int


FINE = Binning(max_bins=15, clusters_per_bin=10)
"""For the calibration error, whose debiasing takes the noise of small bins away."""

COARSE = Binning(max_bins=10, clusters_per_bin=25)
"""For the eye, which cannot take it away."""


@dataclass(frozen=True)
class Bin:
    """One bin of confidence: its weighted means, its number of pairs and the cluster-robust standard error of its
    accuracy (None with fewer than two clusters)."""

    confidence: float
    accuracy: float
    n_pairs: int
    standard_error: float | None


def sigmoid(x: FloatArray) -> FloatArray:
    """1 / (1 + exp(-x)) without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * x))


def negative_log_likelihood(margins: FloatArray) -> FloatArray:
    """(n,) -log sigmoid(margin) in nats, without overflow."""
    return np.logaddexp(0.0, -margins)


def squared_error(margins: FloatArray) -> FloatArray:
    """(n,) (1 - sigmoid(margin))^2; its mean is the Brier score (Brier 1950), the same in either orientation."""
    return sigmoid(-margins) ** 2


def confidence_bins(margins: FloatArray, weights: FloatArray, clusters: IntArray, binning: Binning = FINE) -> IntArray:
    """(n,) bin of each pair, from the least confident, in bins of equal weight.

    Pairs of equal confidence stay together, so bins may be fewer and unequal. Equal mass, because rewards crowd near
    0.5 or 1 and bins of equal width would be nearly empty (Nguyen and O'Connor 2015,
    arXiv 1508.05154; Roelofs et al. 2022, arXiv 2012.08668).
    """
    n_bins = int(np.clip(len(np.unique(clusters)) // binning.clusters_per_bin, 1, binning.max_bins))
    _, group = np.unique(np.abs(margins), return_inverse=True)
    share = weights.sum() / n_bins
    bin_of_group, filled, current = [], 0.0, 0
    for mass in np.bincount(group, weights=weights).tolist():
        if filled > share * (1 - 1e-9):  # shares of 1/3 and the like do not add up exactly
            filled, current = 0.0, current + 1
        filled += mass
        bin_of_group.append(current)
    bins = np.array(bin_of_group, dtype=np.int64)
    if filled < share / 2:  # what is left over at the end is too little for a bin of its own
        bins = np.minimum(bins, max(0, current - 1))
    return bins[group]


def debiased_ece(margins: FloatArray, weights: FloatArray, clusters: IntArray) -> float | None:
    """Root of `squared_calibration_error`, on the scale of probabilities; a negative square, which a calibrated model
    gets about half of the time, is reported as 0. None with fewer than two clusters."""
    square = squared_calibration_error(margins, weights, clusters)
    return None if square is None else float(np.sqrt(np.clip(square, 0.0, 1.0)))


def debiased_ece_interval(
    margins: FloatArray, weights: FloatArray, clusters: IntArray, *, seed: int = 0, n_resamples: int = 400
) -> tuple[float, float] | None:
    """95 % percentile interval of `debiased_ece`, resampling whole clusters; None with fewer than two.

    A cluster that is drawn k times stays one cluster of k times the weight. As k clusters it would be its own evidence
    of a gap, and every resample would show a larger error than the data do.
    """
    _, cluster, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
    if len(sizes) < 2:
        return None
    rng = np.random.default_rng(seed)
    squares = []
    for _ in range(n_resamples):
        drawn = np.bincount(rng.integers(0, len(sizes), size=len(sizes)), minlength=len(sizes))[cluster]
        kept = drawn > 0
        square = squared_calibration_error(margins[kept], weights[kept] * drawn[kept], clusters[kept])
        squares += [] if square is None else [square]
    if not squares:
        return None
    low, high = np.sqrt(np.clip(np.quantile(squares, [0.025, 0.975]), 0.0, 1.0))
    return float(low), float(high)


def squared_calibration_error(margins: FloatArray, weights: FloatArray, clusters: IntArray) -> float | None:
    """Debiased squared calibration error, which may be negative; None with fewer than two clusters.

    The plain ECE is positive even for a perfectly calibrated model, the more so the less data a bin has. As in Kumar,
    Liang and Ma 2019 (arXiv 1909.10155) the squared error of each bin is estimated without bias. With d_i =
    correct_i - confidence_i, weights w_i and W_b the weight of bin b:

        CE^2 = sum_b W_b U_b,   U_b = ((sum_i w_i d_i)^2 - sum_c (sum_{i in c} w_i d_i)^2) / (W_b^2 - sum_c W_bc^2)

    U_b is the mean of d_i d_j over pairs from different clusters c; its expectation is the squared gap of the bin,
    also when the pairs of one prompt are dependent (Kumar's own correction assumes that they are not). Bins of
    a single cluster are left out.
    """
    confidence, correct = sigmoid(np.abs(margins)), correctness(margins)
    weighted_gap = weights * (correct - confidence)
    bins = confidence_bins(margins, weights, clusters)
    total = mass = 0.0
    for b in range(int(bins.max(initial=-1)) + 1):
        members = bins == b
        gaps, masses = _by_cluster(clusters[members], weighted_gap[members], weights[members])
        bin_mass = float(masses.sum())
        if len(masses) > 1:
            square = (gaps.sum() ** 2 - (gaps**2).sum()) / (bin_mass**2 - (masses**2).sum())
            total, mass = total + bin_mass * float(square), mass + bin_mass
    return total / mass if mass else None


def plain_ece(margins: FloatArray, weights: FloatArray, clusters: IntArray) -> float | None:
    """The usual ECE, sum_b W_b |accuracy_b - confidence_b|, biased upwards; to compare with other people's figures."""
    gap = weights * (correctness(margins) - sigmoid(np.abs(margins)))
    bins = confidence_bins(margins, weights, clusters)
    return float(np.abs(np.bincount(bins, weights=gap)).sum() / weights.sum()) if len(margins) else None


def reliability(margins: FloatArray, weights: FloatArray, clusters: IntArray) -> list[Bin]:
    """Bins to draw, from the least to the most confident."""
    confidence, correct = sigmoid(np.abs(margins)), correctness(margins)
    bins = confidence_bins(margins, weights, clusters, COARSE)
    result = []
    for b in range(int(bins.max(initial=-1)) + 1):
        members = bins == b
        w = weights[members]
        mean = float((w * correct[members]).sum() / w.sum())
        stated = float((w * confidence[members]).sum() / w.sum())
        residuals, _ = _by_cluster(clusters[members], w * (correct[members] - mean) / w.sum(), w)
        k = len(residuals)
        error = float(np.sqrt(k / (k - 1) * (residuals**2).sum())) if k > 1 else None
        result.append(Bin(stated, mean, int(members.sum()), error))
    return result


def margin_histogram(margins: FloatArray, max_bins: int = 40) -> tuple[list[float], list[int]]:
    """Edges (k + 1) and counts (k) of the margins, symmetric with an edge at 0 so that no bar mixes right and wrong.

    The axis ends at the 99th percentile of |margin|; the few beyond it count in the outermost bars.
    """
    if not len(margins):
        return [], []
    reach = float(np.quantile(np.abs(margins), 0.99)) or float(np.abs(margins).max()) or 1.0
    half = int(np.clip(np.sqrt(len(margins)) / 2, 2, max_bins // 2))
    edges = np.linspace(-reach, reach, 2 * half + 1)
    counts, _ = np.histogram(np.clip(margins, -reach, reach), bins=edges)
    return edges.tolist(), counts.tolist()


def _by_cluster(clusters: IntArray, *values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Sums of the two values over each cluster that occurs."""
    _, inverse = np.unique(clusters, return_inverse=True)
    first, second = (np.bincount(inverse, weights=v).astype(np.float64) for v in values)
    return first, second
