"""RewardBench 2 (Malik et al. 2025, arXiv 2506.01937): 1,865 prompts in six subsets, the overall score their mean.

In five subsets one response of four is right: it must have the highest reward, and where it shares it with others it
counts 1/k for k that are equal. In Ties many responses are right; a `ref` prompt with one right answer belongs to
each `tied` prompt. With d the spread of the rewards of a tied prompt's right answers, m_tied and m_ref the gaps from
the worst right answer to the best wrong one, and m = min(m_tied, m_ref), the score of Ties is

    0.3 mean[m_tied > 0] + 0.3 mean[m_ref > 0] + 0.2 mean[m_tied > d] + 0.2 mean[m > d] + 0.01 mean tanh(m / d - 1)

so it can pass 1 by a hundredth. Formulas: `reroll_and_score_dataset` and `process_single_model` of
allenai/reward-bench, `rewardbench/utils.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rewardsmith.evaluation.benchmarks.suite import Item, Rewards, Rows, Sections, Suite, Unit
from rewardsmith.preferences.formats.base import BadRow, RowData, as_list, as_text, number, present, text

TIES = "Ties"
_REF, _TIED = "ref", "tied"


class RewardBench2(Suite):
    name = "rewardbench2"
    title = "RewardBench 2"
    hub = "allenai/reward-bench-2"
    source = "https://huggingface.co/datasets/allenai/reward-bench-2 (split test)"
    files = (("*test*.parquet",), ("*test*.jsonl",), ("*test*.json",))
    rows: ClassVar[Rows] = {"Factuality": 475, "Precise IF": 160, "Math": 183, "Safety": 450, "Focus": 495, TIES: 102}
    sections: ClassVar[Sections] = {name: {name: 1.0} for name in rows}

    def parse(self, row: RowData, file: Path) -> Item:
        subset = self.known_subset(text(row, "subset"), "subset")
        right, wrong = (_texts(row, field) for field in ("chosen", "rejected"))
        if number(row, "num_correct") != len(right):
            raise BadRow("num_correct", f"is {row['num_correct']}, but 'chosen' holds {len(right)} responses")
        id = str(present(row, "id"))
        if subset == TIES:
            _check_ties(id, right)
        elif (len(right), len(wrong)) != (1, 3):
            raise BadRow("chosen", f"and 'rejected' hold {len(right)} and {len(wrong)} responses; {subset} has 1 and 3")
        return Item.of(id, subset, text(row, "prompt"), right, wrong)

    def value(self, item: Item, rewards: Rewards) -> float:
        best = max(rewards)
        return 1 / sum(r == best for r in rewards) if rewards[0] == best else 0.0

    def units(self, items: Sequence[Item], rewards: Sequence[Rewards]) -> list[Unit]:
        both = list(zip(items, rewards, strict=True))
        units = [self.unit(item, self.value(item, r)) for item, r in both if item.subset != TIES]
        return units + _composite(_gaps(both))

    def details(self, items: Sequence[Item], rewards: Sequence[Rewards]) -> dict[str, list[Unit]]:
        """The parts of the score of Ties but the last, which only breaks ties between models."""
        gaps = _gaps(list(zip(items, rewards, strict=True)))
        return {
            f"{TIES}: {part.title}": [Unit(TIES, TIES, part.value(gaps[k]), 1.0, k) for k in part.keys(gaps)]
            for part in _PARTS
            if part.title
        }


@dataclass(frozen=True)
class _Gaps:
    """Of one prompt of Ties and its reference: `tied` and `ref` are the gaps from the worst right answer to the best
    wrong one, None where there is no such row; `spread` is that of the tied prompt's right answers."""

    tied: float | None = None
    ref: float | None = None
    spread: float = 0.0

    @property
    def narrow(self) -> float:
        """The smaller gap, of a prompt that has both."""
        assert self.tied is not None and self.ref is not None
        return min(self.tied, self.ref)

    def has(self, *names: str) -> bool:
        return all(getattr(self, name) is not None for name in names)

    def tie_breaker(self) -> float:
        if self.spread > 0:
            return math.tanh(self.narrow / self.spread - 1)
        # The limit as the spread goes to 0; 0 where both are 0.
        return math.copysign(1.0, self.narrow) if self.narrow else 0.0


@dataclass(frozen=True)
class _Part:
    """One mean in the score of Ties: over the prompts that have the `needed` rows, with its coefficient."""

    coefficient: float
    title: str
    needed: tuple[str, ...]
    value: Callable[[_Gaps], float]

    def keys(self, gaps: Mapping[int, _Gaps]) -> list[int]:
        return [k for k, gap in gaps.items() if gap.has(*self.needed)]


_PARTS = (
    _Part(0.3, "right above wrong, tied prompts", (_TIED,), lambda g: float((g.tied or 0) > 0)),
    _Part(0.3, "right above wrong, reference prompts", (_REF,), lambda g: float((g.ref or 0) > 0)),
    _Part(0.2, "gap above spread", (_TIED, _REF), lambda g: float((g.tied or 0) > g.spread)),
    _Part(0.2, "both gaps above spread", (_TIED, _REF), lambda g: float(g.narrow > g.spread)),
    _Part(0.01, "", (_TIED, _REF), _Gaps.tie_breaker),
)


def _gaps(both: Sequence[tuple[Item, Rewards]]) -> dict[int, _Gaps]:
    """The gaps of each prompt of Ties, by its number."""
    gaps: dict[int, _Gaps] = {}
    for item, rewards in both:
        if item.subset != TIES:
            continue
        kind, _, key = item.id.partition(":")
        right, wrong = rewards[: item.n_right], rewards[item.n_right :]
        gap, old = min(right) - max(wrong), gaps.get(int(key), _Gaps())
        if kind == _REF:
            gaps[int(key)] = _Gaps(old.tied, gap, old.spread)
        else:
            gaps[int(key)] = _Gaps(gap, old.ref, max(right) - min(right))
    return gaps


def _composite(gaps: Mapping[int, _Gaps]) -> list[Unit]:
    """One unit a prompt, whose plain mean is the score of Ties: what each prompt adds to the five means, times the
    number of prompts."""
    added = dict.fromkeys(gaps, 0.0)
    for part in _PARTS:
        keys = part.keys(gaps)
        for key in keys:
            added[key] += part.coefficient * part.value(gaps[key]) * len(gaps) / len(keys)
    return [Unit(TIES, TIES, value, 1 / len(gaps), (TIES, key)) for key, value in added.items()]


def _texts(row: RowData, field: str) -> list[str]:
    texts = [as_text(value, field) for value in as_list(present(row, field), field)]
    if not texts:
        raise BadRow(field, "is an empty list; it must hold responses")
    return texts


def _check_ties(id: str, right: Sequence[str]) -> None:
    kind, _, key = id.partition(":")
    if kind not in (_REF, _TIED) or not key.isdecimal():
        raise BadRow("id", f"is {id!r}; a row of {TIES} is called ref:NUMBER or tied:NUMBER")
    if kind == _TIED and len(right) < 2:
        raise BadRow("chosen", "holds one response; a tied prompt has several right ones")
