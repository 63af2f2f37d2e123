"""JudgeBench (Tan et al. 2024, arXiv 2410.12784): 350 pairs of GPT-4o responses, one right and one wrong.

A pair is right when the right response has the higher reward; equal rewards are wrong. The overall score is the share
of all pairs (not the mean of the four categories, which some papers report). Formula: `compute_final_metrics` in
`utils/metrics.py` and the reward judges in `utils/judges.py` of ScalerLab/JudgeBench, which judge both orders: a tie
is then decided once each way and is not counted as correct.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from rewardsmith.evaluation.benchmarks.suite import Item, Rewards, Rows, Sections, Suite
from rewardsmith.preferences.formats.base import BadRow, RowData, present, text

_SOURCES = {
    "mmlu-pro": "Knowledge",
    "livebench-reasoning": "Reasoning",
    "livebench-math": "Math",
    "livecodebench": "Coding",
}


class JudgeBench(Suite):
    name = "judgebench"
    title = "JudgeBench"
    hub = "ScalerLab/JudgeBench"
    source = "https://github.com/ScalerLab/JudgeBench (data) or https://huggingface.co/datasets/ScalerLab/JudgeBench"
    files = (("*dataset=judgebench,response_model=gpt-4o-2024-05-13.jsonl",), ("*gpt-0*.jsonl",))
    rows: ClassVar[Rows] = {"Knowledge": 154, "Reasoning": 98, "Math": 56, "Coding": 42}
    sections: ClassVar[Sections] = {name: {name: float(n)} for name, n in rows.items()}
    overall = "rows"

    def parse(self, row: RowData, file: Path) -> Item:
        source, label = text(row, "source"), text(row, "label")
        category = next((name for start, name in _SOURCES.items() if source.startswith(start)), None)
        if category is None:
            raise BadRow("source", f"is {source!r}; {self.title} has those that start with {', '.join(_SOURCES)}")
        if label not in ("A>B", "B>A"):
            raise BadRow("label", f"is {label!r}; it must be A>B or B>A")
        sides = [text(row, "response_A"), text(row, "response_B")]
        right, wrong = sides if label == "A>B" else reversed(sides)
        return Item.of(present(row, "pair_id"), category, text(row, "question"), [right], [wrong])

    def value(self, item: Item, rewards: Rewards) -> float:
        return float(rewards[0] > rewards[1])
