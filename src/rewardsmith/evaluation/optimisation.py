"""The result of best-of-n: a versioned, typed file, and all that its table and its plot may read.

Curves stand by gold model and proxy. Gains are in standard deviations of the gold reward within a prompt: 0 is a
response drawn at random. What is undefined is null.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from rewardsmith.evaluation.best_of_n import Peak, curve_intervals, gains, kl_divergence, peak_of
from rewardsmith.evaluation.pairs import FloatArray
from rewardsmith.evaluation.result import Count, ResultPart, Share, load_typed

LONGER = "longer wins"
"""The trivial proxy: the reward is the length."""
CEILING = "the gold itself"
"""The proxy that nothing can beat."""


class Point(ResultPart):
    """One n of a curve."""

    n: int = Field(ge=1)
    kl: float = Field(description="KL divergence from the policy, nats; an upper bound where responses are alike.")
    gain: float = Field(description="Mean over prompts of the expected gold reward of the best of n, less that of one.")
    ci95: tuple[float, float] | None = Field(description="BCa bootstrap over prompts.")


class Curve(ResultPart):
    """What choosing by a proxy does to a gold reward."""

    points: list[Point]
    peak: Peak


class BestOfNResult(ResultPart):
    """What `best-of-n` found."""

    version: Literal[1] = 1
    policy: str
    temperature: float
    max_tokens: int
    seed: int
    n_prompts: Count
    n_samples: Count = Field(description="Responses to each prompt, and the largest n.")
    cut: Share = Field(description="Share of the responses that ended at max_tokens.")
    proxies: dict[str, str] = Field(description="Models by the name that they have here.")
    golds: dict[str, str]
    curves: dict[str, dict[str, Curve]] = Field(description="By gold, then by proxy.")
    notes: list[str] = Field(default_factory=list)
    command: list[str] = Field(default_factory=list)
    versions: dict[str, str] = Field(default_factory=dict)
    seconds: float = Field(default=0.0, ge=0)


def curves_of(
    proxies: Mapping[str, FloatArray], golds: Mapping[str, FloatArray], *, seed: int = 0
) -> dict[str, dict[str, Curve]]:
    """The curve of every gold and proxy, and of every gold as its own proxy, for n = 1..N from rewards [p, N]."""
    return {
        name: {by: _curve(proxy, gold, seed) for by, proxy in {**proxies, CEILING: gold}.items()}
        for name, gold in golds.items()
    }


def _curve(proxy: FloatArray, gold: FloatArray, seed: int) -> Curve:
    ns = range(1, gold.shape[1] + 1)
    change = gains(proxy, gold, ns)
    means, intervals = change.mean(axis=0), curve_intervals(change, seed=seed)
    return Curve(
        points=[
            Point(n=n, kl=kl_divergence(n), gain=float(gain), ci95=interval)
            for n, gain, interval in zip(ns, means, intervals, strict=True)
        ],
        peak=peak_of(change, ns, seed=seed),
    )


def load_best_of_n(path: Path) -> BestOfNResult:
    """Reads `result.json` of a best-of-n run; raises DataError for any other file."""
    return load_typed(path, BestOfNResult, "best-of-n", "that of a best-of-n run")
