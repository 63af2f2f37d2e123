"""What a plan says, against simulations of its own and the figures that are known."""

from __future__ import annotations

import numpy as np
import pytest

from rewardsmith.customization.planning import Outlook, chance_to_certify, prompts_needed
from rewardsmith.evaluation.betting import Spread, rejects_loss


@pytest.mark.parametrize(("n", "flips", "budget", "loss"), [(400, 0.05, 0.04, 0.0), (400, 0.05, 0.04, 0.02)])
def test_a_chance_is_a_share_of_worlds(n: int, flips: float, budget: float, loss: float) -> None:
    rng = np.random.default_rng(99)
    worlds = [
        rng.permutation(
            np.repeat([-1.0, 1.0, 0.0], rng.multinomial(n, [(flips + loss) / 2, (flips - loss) / 2, 1 - flips]))
        )
        for _ in range(600)
    ]
    spread = Spread(0.05 * flips / 0.05, 210)
    mine = np.mean([rejects_loss(world, budget, 0.05, spread) for world in worlds])
    assert chance_to_certify(n, flips, budget, loss) == pytest.approx(mine, abs=0.06)


def test_half_the_budget_lost_is_hard_to_certify() -> None:
    """Over the sizes for which a chance of 45 to 96 % is known where nothing is lost."""
    chances = [
        chance_to_certify(n, f, b, b / 2)
        for n, f, b in [
            (1000, 0.05, 0.02),
            (2000, 0.05, 0.02),
            (2000, 0.1, 0.02),
            (2000, 0.02, 0.01),
            (2000, 0.05, 0.01),
        ]
    ]
    assert all(0.12 < chance < 0.75 for chance in chances)


def test_as_many_prompts_as_are_needed_do() -> None:
    n = prompts_needed(0.05, 0.03, 0.0)
    assert n is not None and 0.74 <= chance_to_certify(n, 0.05, 0.03, 0.0) <= 0.93
    assert prompts_needed(0.05, 0.03, 0.03) is None


def test_a_hopeless_plan_says_so_and_what_would_help() -> None:
    rows = [(0.01, 0.6, 0.2), (0.02, 0.4, 0.1), (0.05, 0.2, 0.1), (0.1, 0.1, 0.05)]
    text = Outlook("helpful", 90, 0.01, rows, 4000).to_text()
    assert "1 points can hardly be proved with 90 prompts" in text and "more general preferences" in text
    assert "hardly" not in Outlook("helpful", 90, 0.01, [(0.02, 0.9, 0.4)], 80).to_text()
