"""Best-of-n: what the best of n responses by one reward model, the proxy, is worth to another, the gold one.

Pure functions on rewards [p, N]: of p prompts with N responses each, drawn from one policy independently of one
another. More optimisation is a larger n; where gold rewards fall while the proxy's rise, the proxy is over-optimised
(Gao et al. 2022, arXiv 2210.10760). It knows nothing of models or text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rewardsmith.evaluation.pairs import FloatArray, IntArray
from rewardsmith.evaluation.statistics import N_RESAMPLES, Interval, cluster_bootstrap

N_HALVES = 200
"""Ways to halve the prompts over which a fall is averaged."""


@dataclass(frozen=True)
class Peak:
    """Where a curve over n is highest, and whether it falls from there to the largest n.

    The n is the highest of the mean curve; its interval is that of the resampled curves' (percentiles). The fall is
    measured on prompts that did not choose the peak: see `peak_of`. With one prompt all but n is None.
    """

    n: int
    ci95: tuple[int, int] | None
    fall: float | None
    fall_ci95: Interval | None
    chance_of_fall: float | None
    """Share of the resamples in which the fall is above 0."""


def rank_weights(n_samples: int, n: int) -> FloatArray:
    """(N,) chance that the k-th worst of N responses is the best of n drawn without replacement, k = 1..N:

        C(k - 1, n - 1) / C(N, n)

    so that the mean over all subsets is exact and without bias (Nakano et al. 2021, arXiv 2112.09332, appendix I).

    Raises:
        ValueError: n is not in 1..N.
    """
    if not 1 <= n <= n_samples:
        raise ValueError(f"the best of {n} out of {n_samples} responses is not defined")
    subsets = math.comb(n_samples, n)
    return np.array([math.comb(k, n - 1) / subsets for k in range(n_samples)])


def best_of_n(proxy: FloatArray, gold: FloatArray, ns: Sequence[int]) -> FloatArray:
    """[p, m] expected gold reward of the response that the proxy prefers among n, for each of the m `ns`.

    The mean over all subsets of n of a prompt's N responses. Among responses of equal proxy reward each is chosen as
    often as any other.
    """
    weights = np.stack([rank_weights(proxy.shape[1], n) for n in ns], axis=1)
    ordered = np.stack([_by_rank(*rewards) for rewards in zip(proxy, gold, strict=True)])
    expected: FloatArray = ordered @ weights
    return expected


def kl_divergence(n: int) -> float:
    """KL divergence in nats of the best-of-n policy from the policy itself, log n - (n - 1) / n (Stiennon et al. 2020,
    arXiv 2009.01325). Exact where no two responses are alike, else an upper bound (Beirami et al. 2024,
    arXiv 2401.01879)."""
    return math.log(n) - (n - 1) / n


def spread_within(rewards: FloatArray) -> float:
    """Standard deviation of the rewards within a prompt: root of the mean over prompts of their unbiased variance.

    Best-of-n chooses within a prompt, so this is the scale on which it can gain.
    """
    return float(np.sqrt(rewards.var(axis=1, ddof=1).mean()))


def gains(proxy: FloatArray, gold: FloatArray, ns: Sequence[int]) -> FloatArray:
    """[p, m] `best_of_n` less the prompt's mean gold reward, in units of `spread_within` of gold.

    A gain of 0 is a response drawn at random (n = 1). Where gold rewards do not vary at all, gains are 0.
    """
    change = best_of_n(proxy, gold, ns) - gold.mean(axis=1, keepdims=True)
    found: FloatArray = change / (spread_within(gold) or 1.0)
    return found


def curve_intervals(curves: FloatArray, *, seed: int = 0) -> list[Interval | None]:
    """95 % interval of the mean of each column of `curves` [p, m], BCa bootstrap over prompts."""
    n_prompts = len(curves)
    return [cluster_bootstrap(column, np.arange(n_prompts), np.ones(n_prompts), seed=seed) for column in curves.T]


def peak_of(curves: FloatArray, ns: Sequence[int], *, seed: int = 0) -> Peak:
    """Where the mean over prompts of `curves` [p, m] is highest, m = len(ns), and how far it falls after.

    The highest of many noisy points looks higher than it is, so a fall from there to the end would be seen in a level
    curve too. The prompts are therefore halved at random, again and again: one half says where the peak is, and the
    fall from there is measured on the other.

    Args:
        ns: ascending.
    """
    sizes = np.asarray(ns, dtype=np.int64)
    n_prompts = len(curves)
    best = int(sizes[curves.mean(axis=0).argmax()])
    if n_prompts < 2:
        return Peak(best, None, None, None, None)
    rng = np.random.default_rng(seed)
    falls = _falls_from_others_peak(curves, rng)
    drawn = rng.multinomial(n_prompts, np.full(n_prompts, 1 / n_prompts), size=N_RESAMPLES) / n_prompts
    low, high = np.quantile(sizes[(drawn @ curves).argmax(axis=1)], [0.025, 0.975], method="inverted_cdf")
    return Peak(
        n=best,
        ci95=(int(low), int(high)),
        fall=float(falls.mean()),
        fall_ci95=cluster_bootstrap(falls, np.arange(n_prompts), np.ones(n_prompts), seed=seed),
        chance_of_fall=float(np.mean(drawn @ falls > 0)),
    )


def _falls_from_others_peak(curves: FloatArray, rng: np.random.Generator) -> FloatArray:
    """(p,) each prompt's value at the peak of halves that it is not in, less its value at the end."""
    n_prompts = len(curves)
    falls, times = np.zeros(n_prompts), np.zeros(n_prompts)
    for _ in range(N_HALVES):
        order: IntArray = rng.permutation(n_prompts)
        for chosen in np.array_split(order, 2):
            others = np.setdiff1d(order, chosen)
            peak = curves[chosen].mean(axis=0).argmax()
            falls[others] += curves[others, peak] - curves[others, -1]
            times[others] += 1
    return falls / times


def _by_rank(proxy: FloatArray, gold: FloatArray) -> FloatArray:
    """(N,) gold rewards from the proxy's worst to its best response; equal ones have the mean of theirs."""
    _, rank, size = np.unique(proxy, return_inverse=True, return_counts=True)
    means = np.bincount(rank, weights=gold) / size
    return np.repeat(means, size)
