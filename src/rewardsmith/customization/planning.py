"""What the data can prove, said before anything is trained: the chance to certify a model, by how much it flips."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from rewardsmith.customization.parts import CERTIFY, Parts
from rewardsmith.errors import DataError
from rewardsmith.evaluation.betting import Spread, rejects_loss
from rewardsmith.evaluation.budget import POOLED, Question

FLIPS = (0.01, 0.02, 0.05, 0.10, 0.20)
"""Shares of general prompts whose order changes: from a light touch to a model that was trained anew."""
_WORLDS = 1000
_LIKELY = 0.8
_LARGEST = 200_000


@functools.cache
def chance_to_certify(
    n: int, flips: float, budget: float, loss: float, alpha: float = 0.05, worlds: int = _WORLDS, seed: int = 0
) -> float:
    """Share of simulated worlds in which the test certifies.

    Args:
        n: prompts in the certify part.
        flips: share of prompts that change, by one pair each.
        budget, loss: what may be lost and what truly is, as shares; the loss is at most `flips`.
    """
    rng = np.random.default_rng(seed)
    loss = min(loss, flips)
    shares = [(flips + loss) / 2, 1 - flips, (flips - loss) / 2]
    drawn = rng.choice(np.array([-1.0, 0.0, 1.0]), size=(worlds + 1, n), p=shares)
    # The choosing part, half as large, tells beforehand how much a candidate flips.
    return float(rejects_loss(drawn[1:], budget, alpha, Spread.of(drawn[0, : n // 2])).mean())


def prompts_needed(flips: float, budget: float, loss: float, alpha: float = 0.05) -> int | None:
    """Prompts in the certify part for a chance of 80 %; None where no number in reach does."""
    from scipy.stats import norm

    if loss >= budget:
        return None
    z = norm.ppf(1 - alpha) + norm.ppf(_LIKELY)
    n = max(30.0, float(flips * (z / (budget - loss)) ** 2))
    while n <= _LARGEST:
        if chance_to_certify(round(n), flips, budget, loss, alpha, worlds=200) >= _LIKELY:
            return round(n)
        n *= 1.15
    return None


@dataclass(frozen=True)
class Outlook:
    """The chances for one budget: rows of (share of flips, chance at no loss, chance at half the budget)."""

    name: str
    n: int
    budget: float
    rows: list[tuple[float, ...]]
    needed: int | None
    """Prompts to certify with that a chance of 80 % takes, at 5 % flips and no loss."""

    @property
    def hopeless(self) -> bool:
        """Whether not even a light touch, 2 % of flips or more, has an even chance."""
        return max(chance for flips, chance, *_ in self.rows if flips >= 0.02) < 0.5

    def to_text(self) -> str:
        """For a terminal."""
        lines = [f"{self.name}: {self.n} prompts to certify {100 * self.budget:g} points with"]
        lines.append("  prompts that flip   chance to certify: nothing lost   half the budget lost")
        lines += [f"  {flips:>12.0%} {none:>29.0%} {half:>22.0%}" for flips, none, half in self.rows]
        if self.needed is not None:
            lines.append(
                f"  for a chance of 80 % at 5 % flips and no loss: {self.needed:,} prompts in the certify part"
            )
        if self.hopeless:
            lines.append(
                f"  {100 * self.budget:g} points can hardly be proved with {self.n} prompts, whatever is trained: give "
                "more general preferences, a larger --budget, or a lower --confidence"
            )
        return "\n".join(lines)


def outlooks(parts: Parts, question: Question) -> list[Outlook]:
    """One for every budget.

    Raises:
        DataError: the certify part is too small to certify even a model that changes nothing.
    """
    found = []
    certify = parts.of(CERTIFY)
    for name, budget in question.budgets.for_sets(list(certify)).items():
        preferences = parts.pooled(CERTIFY) if name == POOLED else certify[name]
        n = len({p.prompt_key() for p in preferences})
        if not _possible(n, budget, question.alpha):
            raise DataError(
                f"{name}: {n} prompts in the certify part cannot prove {100 * budget:g} points, not even of a model "
                f"that changes nothing; {_least(budget, question.alpha)} can: give more general preferences, a larger "
                "--budget or a lower --confidence"
            )
        rows = [
            (f, *(chance_to_certify(n, f, budget, loss, question.alpha) for loss in (0.0, budget / 2))) for f in FLIPS
        ]
        needed = prompts_needed(0.05, budget, 0.0, question.alpha)
        found.append(Outlook(name, n, budget, rows, needed))
    return found


def _possible(n: int, budget: float, alpha: float) -> bool:
    """Whether a model that changes nothing would be certified."""
    return bool(rejects_loss(np.zeros(n), budget, alpha, Spread.of(np.zeros(n // 2))))


def _least(budget: float, alpha: float) -> str:
    n = 16
    while n < _LARGEST and not _possible(n, budget, alpha):
        n = round(n * 1.1) + 1
    return f"about {n:,}"
