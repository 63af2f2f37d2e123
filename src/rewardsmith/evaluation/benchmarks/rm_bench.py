"""RM-Bench (Liu et al. 2024, arXiv 2410.16184): 1,327 prompts, three right and three wrong responses in three styles.

The styles are, in this order: concise, detailed, detailed with Markdown. A right response of one style must have a
higher reward than a wrong one of any style, which makes nine comparisons; equal rewards are wrong. Hard are the three
in which the wrong response has the richer style, normal the three of equal style, easy the others. A domain's score is
the mean of its easy, normal and hard accuracies (that is, of all nine), the overall score the mean over the four
domains; both halves of safety are pooled. Formulas: `split_dataset_by_domain` and `compute_accuracy` in the README and
`scripts/utils.py` of THU-KEG/RM-Bench; the averages as the README of THU-KEG/RM-Bench-Leaderboard states them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from rewardsmith.evaluation.benchmarks.suite import Item, Rewards, Rows, Sections, Suite, Unit
from rewardsmith.preferences.formats.base import BadRow, RowData, as_list, as_text, present, text

STYLES = 3
_CELLS = [(i, j) for i in range(STYLES) for j in range(STYLES)]
DIFFICULTIES = {
    "Easy": [(i, j) for i, j in _CELLS if i > j],
    "Normal": [(i, j) for i, j in _CELLS if i == j],
    "Hard": [(i, j) for i, j in _CELLS if i < j],
}
"""Comparisons (style of the right response, style of the wrong one) of each difficulty."""

_DOMAINS = {"chat": "Chat", "code": "Code", "math": "Math", "safety-refuse": "Safety", "safety-response": "Safety"}


class RmBench(Suite):
    name = "rm-bench"
    title = "RM-Bench"
    hub = "THU-KEG/RM-Bench"
    source = "https://huggingface.co/datasets/THU-KEG/RM-Bench or https://github.com/THU-KEG/RM-Bench (data)"
    files = (("*total_dataset.json",), ("*_filtered.json",))
    rows: ClassVar[Rows] = {"Chat": 129, "Math": 529, "Code": 228, "Safety": 441}
    sections: ClassVar[Sections] = {name: {name: 1.0} for name in rows}

    def parse(self, row: RowData, file: Path) -> Item:
        domain = text(row, "domain")
        if domain not in _DOMAINS:
            raise BadRow("domain", f"is {domain!r}; {self.title} has {', '.join(_DOMAINS)}")
        sides = [_styles(row, field) for field in ("chosen", "rejected")]
        return Item.of(present(row, "id"), _DOMAINS[domain], text(row, "prompt"), *sides)

    def value(self, item: Item, rewards: Rewards) -> float:
        return _share(rewards, _CELLS)

    def details(self, items: Sequence[Item], rewards: Sequence[Rewards]) -> dict[str, list[Unit]]:
        both = list(zip(items, rewards, strict=True))
        return {name: [self.unit(item, _share(r, cells)) for item, r in both] for name, cells in DIFFICULTIES.items()}


def _share(rewards: Rewards, cells: Sequence[tuple[int, int]]) -> float:
    """Share of the comparisons that the right response wins."""
    right, wrong = rewards[:STYLES], rewards[STYLES:]
    return sum(right[i] > wrong[j] for i, j in cells) / len(cells)


def _styles(row: RowData, field: str) -> list[str]:
    texts = [as_text(value, field) for value in as_list(present(row, field), field)]
    if len(texts) != STYLES:
        raise BadRow(field, f"holds {len(texts)} responses; there is one for each of the {STYLES} styles")
    return texts
