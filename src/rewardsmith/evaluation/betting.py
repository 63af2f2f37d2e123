"""Tests of a mean loss that hold in finite samples.

The data are n paired differences d = after - before, one for each prompt, in [-1, 1]: independent draws of one
distribution with mean μ. "It lost more than B", μ <= -B, is tested by betting (Waudby-Smith and Ramdas 2023,
arXiv 2010.09686): a capital of 1 is multiplied by 1 + bet (d + B) for one prompt after the other, where each bet is
fixed before its prompt is seen. Under the hypothesis the capital does not grow on average, so it reaches 1 / alpha with
probability at most alpha (Ville's inequality), whatever n, the share of flipped pairs or the size of clusters.

Any rule for the bets is valid. Ours recomputes them at every prompt from the capital and the prompts that are left, as
STaR-Bets (arXiv 2505.22422) does: half-way between its rule and the hedge of a digital option, which would be best were
the sum a Brownian motion. Simulated, each alone has less power where few prompts flip.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from rewardsmith.evaluation.pairs import BoolArray, FloatArray

_MOST = 0.9
"""Share of the capital that one prompt may cost at most."""
_GRID = 0.0005
"""Step of a bound: a twentieth of a point."""
_NUISANCE = 1e-4
"""Chance given away for not having to look at every share of flips (Berger and Boos 1994)."""


@dataclass(frozen=True)
class Spread:
    """What is known beforehand of the differences' second moment, from other prompts: it makes bets better or worse,
    never invalid."""

    square: float = 0.05
    weight: float = 10.0
    """How many prompts it counts for."""

    @classmethod
    def of(cls, differences: FloatArray) -> Spread:
        """From differences on other prompts, with the default beside them."""
        prior = cls()
        weight = prior.weight + len(differences)
        return cls((prior.square * prior.weight + float((differences**2).sum())) / weight, weight)


DEFAULT_SPREAD = Spread()
"""Where nothing is known."""


def rejects_loss(
    differences: FloatArray, budget: float | FloatArray, alpha: float = 0.05, spread: Spread = DEFAULT_SPREAD
) -> BoolArray:
    """Whether "the mean loss is `budget` or more" is rejected at level `alpha`.

    Args:
        differences: [..., n], in an order that does not depend on their values.
        budget: in (-1, 1], broadcast against the leading dimensions; 0.01 is one point, a negative one is a gain.

    Returns:
        [...] of the broadcast leading dimensions.
    """
    differences, budgets = np.asarray(differences, np.float64), np.asarray(budget, np.float64)
    shape = np.broadcast_shapes(differences.shape[:-1], budgets.shape)
    budgets = np.broadcast_to(budgets, shape)
    n = differences.shape[-1]
    share = np.full(shape, alpha)  # the capital as a share of its target
    squares = np.full(shape, spread.square * spread.weight)
    with np.errstate(divide="ignore"):
        most = np.where(budgets < 1, _MOST / (1 - budgets), np.inf)
        for t in range(n):
            bet = _stake(share) / np.sqrt(squares / (spread.weight + t) * (n - t))
            # No more than what reaches the target if this prompt changes nothing.
            enough = np.where(budgets > 0, (1 / share - 1) / np.where(budgets > 0, budgets, 1.0), np.inf)
            gain = differences[..., t] + budgets
            share = np.minimum(share * (1 + np.minimum(np.minimum(bet, enough), most) * gain), 1.0)
            squares = squares + gain**2
    found: BoolArray = share >= 1 - 1e-12
    return found


def loss_bound(differences: FloatArray, alpha: float = 0.05, spread: Spread = DEFAULT_SPREAD) -> float:
    """The smallest loss that can be excluded at level `alpha`, in (-1, 1]; negative where a gain is proved.

    The hypotheses "the loss is B or more" are walked from B = 1 downwards until one is not rejected: they are nested,
    so the walk needs no correction.
    """
    grid = np.asarray(1.0 - _GRID * np.arange(round(2 / _GRID)), np.float64)
    kept = rejects_loss(differences, grid, alpha, spread)
    failed = int(np.argmin(kept)) if not kept.all() else len(grid)
    return float(grid[failed - 1]) if failed else 1.0


def trinomial_p_value(differences: FloatArray, budget: float) -> float | None:
    """P-value of "the mean loss is `budget` or more" where every difference is -1, 0 or 1 (one pair a prompt).

    Exact and unconditional: the largest chance, over the share of flips that the data leave plausible, of a score
    statistic at least as large as the observed one. None for other differences: a cross-check of the bets.
    """
    n, flips = len(differences), int(np.abs(differences).sum())
    if not n or not np.isin(differences, (-1.0, 0.0, 1.0)).all() or not 0 < budget < 1:
        return None
    observed = _score(np.array(differences.sum()), np.array(flips), n, budget)
    low = stats.beta.ppf(_NUISANCE / 2, flips, n - flips + 1) if flips else 0.0
    high = stats.beta.ppf(1 - _NUISANCE / 2, flips + 1, n - flips) if flips < n else 1.0
    most = 0.0
    for f in np.linspace(max(low, budget), max(high, budget), 60):
        counts = np.arange(stats.binom.ppf(1e-9, n, f), stats.binom.ppf(1 - 1e-9, n, f) + 1)
        m, up = np.meshgrid(counts, np.arange(counts[-1] + 1), indexing="ij")
        chance = stats.binom.pmf(m, n, f) * stats.binom.pmf(up, m, (1 - budget / f) / 2)
        reached = (up <= m) & (_score(2 * up - m, m, n, budget) >= observed - 1e-9)
        most = max(most, float(chance[reached].sum()))
    return min(1.0, most + _NUISANCE + 2e-9)


def _stake(share: FloatArray) -> FloatArray:
    """Bet in units of 1 / (σ sqrt(prompts left)) at the share u of the target: the mean of a digital option's hedge,
    φ(Φ⁻¹(u)) / u, and of STaR-Bets' sqrt(2 log(1 / u)); 0 at u = 1."""
    u = np.clip(share, 1e-300, 1.0)
    digital = np.exp(-(special.ndtri(u) ** 2) / 2) / np.sqrt(2 * np.pi) / u
    stake: FloatArray = (digital + np.sqrt(-2 * np.log(u))) / 2
    return stake


def _score(total: npt.NDArray[np.float64], flips: npt.NDArray[np.float64], n: int, budget: float) -> FloatArray:
    """(Σ d + n B) over its standard error under the flips seen; no flip counts as half a one."""
    result: FloatArray = (total + n * budget) / np.sqrt(np.maximum(flips, 0.5))
    return result
