"""Published scores, and where a new one would stand among them.

The scores are facts copied from the sources named in `leaderboards.yaml`, of the models listed there alone: a rank
among them is no place on anybody's leaderboard.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import yaml
from pydantic import BaseModel, ConfigDict, Field

from rewardsmith.evaluation.benchmarks.result import Published, Rank


class Leaderboard(BaseModel):
    """Published overall scores of one suite."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    date: str
    scores: dict[str, float] = Field(description="Percent, as printed.")


@cache
def leaderboards() -> dict[str, Leaderboard]:
    """By suite; a suite whose published scores were not checked has none."""
    text = files("rewardsmith.evaluation.benchmarks").joinpath("leaderboards.yaml").read_text(encoding="utf-8")
    return {name: Leaderboard.model_validate(entry) for name, entry in yaml.safe_load(text).items()}


def rank_of(suite: str, score: float) -> Rank | None:
    """The place of an overall score among the published ones; None where none are known."""
    board = leaderboards().get(suite)
    if board is None:
        return None
    ordered = sorted(board.scores.items(), key=lambda entry: -entry[1])
    better = [entry for entry in ordered if entry[1] > round(100 * score, 1)]
    rest = ordered[len(better) :]
    return Rank(
        position=len(better) + 1,
        listed=len(ordered),
        above=_published(better[-1]) if better else None,
        below=_published(rest[0]) if rest else None,
        source=board.source,
        date=board.date,
    )


def _published(entry: tuple[str, float]) -> Published:
    return Published(model=entry[0], score=entry[1] / 100)
