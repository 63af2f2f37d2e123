"""How well rewards rank: accuracy, reciprocal rank of the best response, Kendall's tau.

The project's accuracy is the mean over prompts of the share of the prompt's pairs that are ranked right, so that a
prompt with many responses or annotators weighs no more than another. Pure functions on arrays; nothing here knows
of records or files. An undefined figure is None.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rewardsmith.evaluation.pairs import BoolArray, FloatArray, IntArray


def correctness(margins: FloatArray) -> FloatArray:
    """(n,) 1 where the chosen response has the higher reward, 0 where the lower, and 0.5 where rewards are equal.

    Half is what a coin would get. It keeps a constant reward at 0.5 whatever the order of the responses, where
    `>` would give it 0 and `>=` 1.
    """
    return np.where(margins == 0, 0.5, (margins > 0).astype(np.float64))


def accuracy(margins: FloatArray, prompts: IntArray) -> float | None:
    """Mean over prompts of the share of their pairs ranked right."""
    return mean_over_prompts(correctness(margins), prompts)


def accuracy_over_pairs(margins: FloatArray) -> float | None:
    """Share of all pairs ranked right, a prompt with more pairs weighing more."""
    return float(correctness(margins).mean()) if len(margins) else None


def accuracy_where(margins: FloatArray, prompts: IntArray, keep: BoolArray) -> float | None:
    """`accuracy` on the pairs that `keep` (n,) marks; prompts that lose all their pairs drop out of the mean."""
    return accuracy(margins[keep], prompts[keep])


def mean_over_prompts(values: FloatArray, prompts: IntArray) -> float | None:
    """Mean over prompts of the mean of their values; None without any.

    Equals `prompt_weights(prompts) @ values`, but the mean of ones is exactly 1.
    """
    if not len(values):
        return None
    _, inverse, counts = np.unique(prompts, return_inverse=True, return_counts=True)
    return float((np.bincount(inverse, weights=values) / counts).mean())


def reciprocal_rank(
    rewards: Sequence[float], scores: Sequence[float], pairs: Sequence[tuple[int, int]]
) -> float | None:
    """1 / rank of the best response among those it should beat, by rewards; a response with an equal reward costs half
    a rank. Of several best responses the best placed counts. None when no best response has anything to beat.
    """
    best = max(scores)
    rivals: dict[int, list[float]] = {}
    for i, j in pairs:
        if scores[i] == best:
            rivals.setdefault(i, []).append(rewards[j])
    ranks = [1 + sum((r > rewards[i]) + 0.5 * (r == rewards[i]) for r in others) for i, others in rivals.items()]
    return float(1 / min(ranks)) if ranks else None


def kendall_tau_b(rewards: FloatArray, scores: FloatArray) -> float | None:
    """Kendall's tau-b (Kendall 1945), which corrects for ties on both sides; both arrays are (r,).

    tau_b = sum sign(dx) sign(dy) / sqrt(sum sign(dx)^2 sum sign(dy)^2) over pairs; None when either side is constant.
    """
    x, y = (np.sign(np.subtract.outer(v, v)) for v in (rewards, scores))
    norm = float(np.sqrt((x**2).sum() * (y**2).sum()))
    return float((x * y).sum()) / norm if norm else None
