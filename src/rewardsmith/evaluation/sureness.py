"""Whether a model is right more often where it says that it is sure.

Pure functions on sureness (n,), margins (n,), weights (n,) that add up to 1 and clusters (n,).
"""

from __future__ import annotations

import numpy as np

from rewardsmith.evaluation.calibrated import Halves
from rewardsmith.evaluation.pairs import FloatArray, IntArray
from rewardsmith.evaluation.ranking import correctness
from rewardsmith.evaluation.statistics import cluster_bootstrap


def surer_half(
    sureness: FloatArray, margins: FloatArray, weights: FloatArray, clusters: IntArray, *, seed: int = 0
) -> Halves:
    """Accuracy on the surer half of the weight, on the rest, and their difference.

    The interval resamples the difference's influence values, ±(correct - accuracy of the half) / weight of the half,
    whose mean is 0: prompts that have pairs in both halves are then drawn with both.
    """
    order = np.argsort(-sureness, kind="stable")
    surer = np.empty(len(order), dtype=np.bool_)
    surer[order] = np.cumsum(weights[order]) <= (0.5 + 1e-9) * weights.sum()
    if not surer.any() or surer.all():
        return Halves(surer=None, rest=None, difference=None, ci95=None)
    correct = correctness(margins)
    means, influence = [], np.empty(len(order))
    for half, sign in ((surer, 1.0), (~surer, -1.0)):
        w = weights[half]
        means.append(float(w @ correct[half] / w.sum()))
        influence[half] = sign * (correct[half] - means[-1]) * weights.sum() / w.sum()
    difference = means[0] - means[1]
    return Halves(
        surer=means[0],
        rest=means[1],
        difference=difference,
        ci95=cluster_bootstrap(difference + influence, clusters, weights, seed=seed),
    )
