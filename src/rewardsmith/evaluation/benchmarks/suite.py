"""What a benchmark suite is: its published files, how a row becomes an item, how rewards become what is averaged.

Every suite's score, the composite of RewardBench 2's ties too, is a weighted mean of units, so one piece computes all
scores and intervals (`scoring`). This module knows no suite, no files and no models.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from rewardsmith.errors import nearest
from rewardsmith.preferences.formats.base import BadRow, RowData, user_turn
from rewardsmith.preferences.record import Preference

Rewards = Sequence[float]
"""Of one item's responses, in their order: the right ones first."""

Sections = Mapping[str, Mapping[str, float]]
"""Section -> its subsets -> their weights in the section's mean."""

Rows = Mapping[str, int]
"""Subset -> rows in the published files."""


@dataclass(frozen=True)
class Item:
    """One row of a suite: the `n_right` right responses come first, then the wrong ones."""

    id: str
    subset: str
    preference: Preference
    n_right: int

    @classmethod
    def of(cls, id: object, subset: str, prompt: str, right: Sequence[str], wrong: Sequence[str]) -> Item:
        """An item from a single user turn; right responses have the score 1, wrong ones 0."""
        preference = Preference(
            id=f"{subset}/{id}",
            prompt=user_turn(prompt),
            responses=[*right, *wrong],
            scores=[1.0] * len(right) + [0.0] * len(wrong),
        )
        return cls(str(id), subset, preference, len(right))


@dataclass(frozen=True)
class Unit:
    """One thing that a suite averages: it counts with `weight` in the mean of its section.

    Units of one cluster are not independent (they share a prompt): intervals resample clusters.
    """

    section: str
    subset: str
    value: float
    weight: float
    cluster: Hashable


class Suite(ABC):
    """One published benchmark.

    hub: the data set on the Hugging Face hub; None where it is not there in files that can be read.
    source: where people get the files.
    files: alternatives, the first that matches is taken; each is one or several patterns of paths.
    rows: a file with more or fewer has no score.
    overall: the mean over sections, the mean over all rows, or None where the suite publishes no single figure.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    hub: ClassVar[str | None]
    source: ClassVar[str]
    files: ClassVar[tuple[tuple[str, ...], ...]]
    sections: ClassVar[Sections]
    rows: ClassVar[Rows]
    overall: ClassVar[Literal["sections", "rows"] | None] = "sections"

    @abstractmethod
    def parse(self, row: RowData, file: Path) -> Item:
        """The item that a row of a published file holds. Raises BadRow."""

    @abstractmethod
    def value(self, item: Item, rewards: Rewards) -> float:
        """How right the rewards are on one item, from 0 to 1."""

    def units(self, items: Sequence[Item], rewards: Sequence[Rewards]) -> list[Unit]:
        """One unit an item; a subset's weight is shared out over its rows."""
        return [self.unit(item, self.value(item, r)) for item, r in zip(items, rewards, strict=True)]

    def unit(self, item: Item, value: float) -> Unit:
        """The unit of an item with that value."""
        section = self.section_of(item.subset)
        weight = self.sections[section][item.subset] / self.rows[item.subset]
        return Unit(section, item.subset, value, weight, item.preference.prompt_key())

    def details(self, items: Sequence[Item], rewards: Sequence[Rewards]) -> dict[str, list[Unit]]:
        """Further figures that the suite publishes beside its sections, each the weighted mean of these units."""
        return {}

    def section_of(self, subset: str) -> str:
        """The section that a subset belongs to."""
        return next(name for name, subsets in self.sections.items() if subset in subsets)

    def known_subset(self, name: str, field: str) -> str:
        """The name itself. Raises BadRow when the suite has no such subset."""
        if name not in self.rows:
            raise BadRow(field, f"is {name!r}, which {self.title} does not have{nearest(name, self.rows)}")
        return name
