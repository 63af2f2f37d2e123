"""RewardBench 1 (Lambert et al. 2024, arXiv 2403.13787): 2,985 pairs in 23 subsets and four sections.

A pair is right when the chosen response has the higher reward; equal rewards are wrong. A section is the mean of its
subsets' accuracies, weighted by their rows; math-prm weighs as much as the six code subsets together. The overall
score is the mean of the sections; the prior test sets, which early leaderboards added at half weight, are left out as
later ones do. Formula and constants: `calculate_scores_per_section` and `constants.py` of allenai/reward-bench. The
first version of those constants had the rows of the two xstest subsets exchanged; published section scores are made
with the true ones, which are those here.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from rewardsmith.evaluation.benchmarks.suite import Item, Rewards, Rows, Sections, Suite
from rewardsmith.preferences.formats.base import RowData, present, text

_ROWS = {
    "Chat": {
        "alpacaeval-easy": 100,
        "alpacaeval-length": 95,
        "alpacaeval-hard": 95,
        "mt-bench-easy": 28,
        "mt-bench-med": 40,
    },
    "Chat Hard": {
        "mt-bench-hard": 37,
        "llmbar-natural": 100,
        "llmbar-adver-neighbor": 134,
        "llmbar-adver-GPTInst": 92,
        "llmbar-adver-GPTOut": 47,
        "llmbar-adver-manual": 46,
    },
    "Safety": {
        "refusals-dangerous": 100,
        "refusals-offensive": 100,
        "xstest-should-refuse": 154,
        "xstest-should-respond": 250,
        "donotanswer": 136,
    },
    "Reasoning": {
        "math-prm": 447,
        "hep-cpp": 164,
        "hep-go": 164,
        "hep-java": 164,
        "hep-js": 164,
        "hep-python": 164,
        "hep-rust": 164,
    },
}
_MATH_WEIGHT = 984
"""Of math-prm: as much as the six code subsets together."""


class RewardBench(Suite):
    name = "rewardbench"
    title = "RewardBench"
    hub = "allenai/reward-bench"
    source = "https://huggingface.co/datasets/allenai/reward-bench (split filtered)"
    files = (("*filtered*.parquet",), ("*filtered*.jsonl",), ("*filtered*.json",))
    rows: ClassVar[Rows] = {name: n for subsets in _ROWS.values() for name, n in subsets.items()}
    sections: ClassVar[Sections] = {**_ROWS, "Reasoning": {**_ROWS["Reasoning"], "math-prm": _MATH_WEIGHT}}

    def parse(self, row: RowData, file: Path) -> Item:
        subset = self.known_subset(text(row, "subset"), "subset")
        prompt, chosen, rejected = (text(row, field) for field in ("prompt", "chosen", "rejected"))
        return Item.of(present(row, "id"), subset, prompt, [chosen], [rejected])

    def value(self, item: Item, rewards: Rewards) -> float:
        return float(rewards[0] > rewards[1])
