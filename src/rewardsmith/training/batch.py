"""Batches: items laid out as padded rows, an index of pairs, and the counts that losses are divided by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from rewardsmith.batching.items import Item
from rewardsmith.batching.layout import Layout
from rewardsmith.batching.rows import Rows
from rewardsmith.training.losses import Pairs
from rewardsmith.training.recipe import LossSpec


@dataclass(frozen=True)
class Batch:
    """One micro-batch.

    `pairs` are ranked and `kept` distilled; `held` are the general ones where projection keeps them apart, and none
    elsewhere. `imitated` [n] marks the preferred sequences; `expert` [n] is the expert of a mixture head that each
    belongs to, -1 if unknown, and `share` [n] is 1/r of a preference of r responses. `counts` [5] holds this
    micro-batch's part of what losses are divided by: units of ranking, units of distillation, tokens with a
    language-modelling label, preferred sequences, preferences of a known expert.
    """

    rows: list[Rows]
    pairs: Pairs
    kept: Pairs
    held: Pairs
    reference: torch.Tensor
    imitated: torch.Tensor
    expert: torch.Tensor
    share: torch.Tensor
    counts: torch.Tensor
    records: tuple[str, ...]

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        return replace(
            self,
            rows=[r.to(device) for r in self.rows],
            pairs=self.pairs.to(device),
            kept=self.kept.to(device),
            held=self.held.to(device),
            reference=self.reference.to(device),
            imitated=self.imitated.to(device),
            expert=self.expert.to(device),
            share=self.share.to(device),
            counts=self.counts.to(device),
        )

    def in_passes(self, count: int) -> Batch:
        """The same batch in `count` forward passes: the smallest one is repeated, without a loss, as often as needed.

        What is repeated comes behind all other sequences, where no pair and no label points.
        """
        smallest = min(self.rows, key=lambda r: r.tokens)
        nothing = smallest.lm_state[:0]
        rows = list(self.rows)
        n = len(self.imitated)
        while len(rows) < count:
            places = torch.arange(n, n + len(smallest.last), device=smallest.sequence.device)
            rows.append(replace(smallest, sequence=places, lm_state=nothing, lm_target=nothing, lm_owner=nothing))
            n += len(smallest.last)
        more = n - len(self.imitated)
        return replace(
            self,
            rows=rows,
            imitated=torch.cat([self.imitated, self.imitated.new_zeros(more)]),
            expert=torch.cat([self.expert, self.expert.new_full((more,), -1)]),
            share=torch.cat([self.share, self.share.new_zeros(more)]),
        )


class Collator:
    """Turns lists of items into batches.

    An empty list (a process without work in the last step of an epoch) becomes a batch of `filler` that carries no
    loss, so that all processes take part in every backward pass.
    """

    def __init__(self, losses: LossSpec, layout: Layout, filler: Item) -> None:
        self.losses, self.layout, self.filler = losses, layout, filler

    def __call__(self, items: Sequence[Item]) -> Batch:
        """Lays out `items`; rewards then come in the order of their responses."""
        if not items:
            items = [replace(self.filler, responses=self.filler.responses[:1], judgements=(), expert=None)]
        sequences = [response for item in items for response in item.responses]
        imitated = [flag for item in items for flag in self._imitated(item)]
        rows = self.layout.rows(sequences, imitated if self.losses.imitation else None)
        apart = self.losses.projection
        pairs, units = self._pairs(items, lambda item: not (apart and item.general))
        kept, kept_units = self._pairs(items, lambda item: item.reference is not None)
        held, _ = self._pairs(items, lambda item: apart and item.general)
        labelled = sum(len(r.lm_target) for r in rows)
        experts = [-1 if item.expert is None else item.expert for item in items]
        sizes = [len(item.responses) for item in items]
        return Batch(
            rows=rows,
            pairs=pairs,
            kept=kept,
            held=held,
            reference=self._reference(items),
            imitated=torch.tensor(imitated, dtype=torch.float32),
            expert=torch.tensor([e for e, r in zip(experts, sizes, strict=True) for _ in range(r)]),
            share=torch.tensor([1 / r for r in sizes for _ in range(r)]),
            counts=torch.tensor(
                [units, kept_units, labelled, sum(imitated), sum(e >= 0 for e in experts)], dtype=torch.float64
            ),
            records=tuple(j.record for item in items for j in item.judgements),
        )

    def _imitated(self, item: Item) -> list[bool]:
        flags = [j.imitated() for j in item.judgements] if not item.general else []
        return [any(f[k] for f in flags) for k in range(len(item.responses))]

    def _pairs(self, items: Sequence[Item], wanted: Callable[[Item], bool]) -> tuple[Pairs, float]:
        """The index of the pairs of the items that are wanted, and the units its weights add up to."""
        rows: list[tuple[int, int, int, float, float, float]] = []
        units = 0.0
        offset = 0
        for item in items:
            for judgement in item.judgements if wanted(item) else ():
                found = [(i, j, 1.0) for i, j in item.pairs(judgement)]
                if self.losses.ties == "half":
                    found += [(i, j, 0.5) for i, j in item.ties(judgement)]
                weight = 1.0 if self.losses.reduction == "pair" else 1.0 / max(1, len(found))
                units += weight * len(found)
                rows += [(offset + i, offset + j, judgement.output, weight, judgement.margin, t) for i, j, t in found]
            offset += len(item.responses)
        winner, loser, output, weights, margins, targets = zip(*rows, strict=True) if rows else ((),) * 6
        index, real = torch.long, torch.float32
        return (
            Pairs(
                torch.tensor(winner, dtype=index),
                torch.tensor(loser, dtype=index),
                torch.tensor(output, dtype=index),
                torch.tensor(weights, dtype=real),
                torch.tensor(margins, dtype=real),
                torch.tensor(targets, dtype=real),
            ),
            units,
        )

    def _reference(self, items: Sequence[Item]) -> torch.Tensor:
        if all(item.reference is None for item in items):
            return torch.zeros(0, 1)
        outputs = max(len(item.reference[0]) for item in items if item.reference is not None)
        blank = (0.0,) * outputs
        return torch.tensor([row for item in items for row in (item.reference or [blank] * len(item.responses))])
