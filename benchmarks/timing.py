"""Timing sides in turn: A B A B ..., so that a machine that slows down slows all of them; then medians and ranges.

It knows nothing of what the sides do: each says itself how many seconds count.
"""

from __future__ import annotations

import gc
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    """One side's work, done once: the seconds that count, and the mean loss where it trains."""

    seconds: float
    loss: float | None = None


@dataclass(frozen=True)
class Side:
    """Ours or a peer's way of doing the same work."""

    name: str
    run: Callable[[], Run]


Rounds = Mapping[str, Sequence[Run]]
"""The runs of every side, round by round."""


@dataclass(frozen=True)
class Ratio:
    """The median over rounds, with the lowest and the highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Ratio:
        """That of one value a round."""
        return cls(statistics.median(values), min(values), max(values))


def alternate(sides: Sequence[Side], repeats: int) -> Rounds:
    """Every side once a round, in the order given; a first round warms up and is not counted."""
    rounds: dict[str, list[Run]] = {side.name: [] for side in sides}
    for k in range(repeats + 1):
        for side in sides:
            run = run_clean(side)
            say(f"  {f'round {k}/{repeats}' if k else 'warm-up'}: {side.name} {run.seconds:.2f} s")
            if k:
                rounds[side.name].append(run)
    return rounds


def fastest(sides: Mapping[int, Side]) -> int:
    """The key of the side that takes the fewest seconds, each run once."""
    seconds = {key: run_clean(side).seconds for key, side in sides.items()}
    say("  " + ", ".join(f"{sides[key].name} {s:.2f} s" for key, s in seconds.items()))
    return min(seconds, key=lambda key: seconds[key])


def ratio(rounds: Rounds, peer: str, ours: str) -> Ratio:
    """How many times as long the peer took as we, within each round."""
    return Ratio.of([p.seconds / o.seconds for p, o in zip(rounds[peer], rounds[ours], strict=True)])


def run_clean(side: Side) -> Run:
    """One run, with what the one before it left behind collected first, outside the clock."""
    gc.collect()
    return side.run()


def say(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)
