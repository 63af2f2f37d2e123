"""LLMBar (Zeng et al. 2023, arXiv 2310.07641): 419 pairs, one response follows the instruction and one does not.

A pair is right when the response that follows the instruction has the higher reward; equal rewards are wrong. The
adversarial score is the plain mean of its four subsets' accuracies, whatever their size: GPT-4's four in the
`statistics.json` files of princeton-nlp/LLMBar give in this way the 82.8 that the paper states. There is no overall
score.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from rewardsmith.evaluation.benchmarks.suite import Item, Rewards, Rows, Sections, Suite
from rewardsmith.preferences.formats.base import BadRow, RowData, number, text
from rewardsmith.preferences.record import content_hash


class LlmBar(Suite):
    name = "llmbar"
    title = "LLMBar"
    hub = None
    source = "https://github.com/princeton-nlp/LLMBar (Dataset/LLMBar)"
    files = (("*Natural/dataset.json", "*Adversarial/*/dataset.json"),)
    rows: ClassVar[Rows] = {"Natural": 100, "Neighbor": 134, "GPTInst": 92, "GPTOut": 47, "Manual": 46}
    sections: ClassVar[Sections] = {
        "Natural": {"Natural": 1.0},
        "Adversarial": {"Neighbor": 1.0, "GPTInst": 1.0, "GPTOut": 1.0, "Manual": 1.0},
    }
    overall = None

    def parse(self, row: RowData, file: Path) -> Item:
        subset = self.known_subset(file.parent.name, "the folder's name")
        sides = [text(row, "output_1"), text(row, "output_2")]
        label = number(row, "label")
        if label not in (1, 2):
            raise BadRow("label", f"is {row['label']}; it must be 1 or 2")
        right, wrong = sides if label == 1 else reversed(sides)
        return Item.of(content_hash(row), subset, text(row, "input"), [right], [wrong])

    def value(self, item: Item, rewards: Rewards) -> float:
        return float(rewards[0] > rewards[1])
