"""The order of an epoch: shuffled global batches, shared out over processes and micro-batches by tokens.

Every item comes exactly once an epoch, save those that take turns. Within a global batch the split over processes does
not change the gradient (losses are divided by global counts), so it may follow the work: each part gets about the same
number of tokens.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from torch.utils.data import Sampler


class ShardedBatches(Sampler[list[int]]):
    """Yields this process's micro-batches, lists of item indices; a list may be empty in the last global batch.

    Args:
        tokens: work of each item.
        batch_size: items in one optimiser step, over all processes.
        parts: micro-batches of one step on one process (gradient accumulation).
        rank, world: this process and their number.
        seed: of the shuffle; the epoch is added.
        rotating, drawn: of the last `rotating` items `drawn` come in an epoch, the next ones in the next epoch; once
            all have come they begin anew.
    """

    def __init__(
        self,
        tokens: Sequence[int],
        batch_size: int,
        parts: int,
        *,
        rank: int = 0,
        world: int = 1,
        seed: int = 0,
        rotating: int = 0,
        drawn: int = 0,
    ) -> None:
        self.tokens, self.batch_size, self.parts = tokens, batch_size, parts
        self.rank, self.world, self.seed, self.epoch = rank, world, seed, 0
        self.rotating, self.drawn = rotating, min(drawn, rotating)

    def set_epoch(self, epoch: int) -> None:
        """Selects the shuffle of an epoch (called by the Trainer)."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-(len(self.tokens) - self.rotating + self.drawn) // self.batch_size) * self.parts

    def _items(self) -> list[int]:
        """The items of the epoch."""
        fixed = len(self.tokens) - self.rotating
        turns = list(range(fixed, len(self.tokens)))
        random.Random(f"{self.seed}/turns").shuffle(turns)
        first = self.epoch * self.drawn
        return [*range(fixed), *(turns[(first + k) % self.rotating] for k in range(self.drawn))]

    def __iter__(self) -> Iterator[list[int]]:
        order = self._items()
        random.Random(f"{self.seed}/{self.epoch}").shuffle(order)
        for start in range(0, len(order), self.batch_size):
            shares = balance(order[start : start + self.batch_size], self.tokens, self.world * self.parts)
            yield from shares[self.rank * self.parts : (self.rank + 1) * self.parts]


def balance(indices: Sequence[int], tokens: Sequence[int], shares: int) -> list[list[int]]:
    """Splits `indices` into `shares` lists of about equal tokens: heaviest first, each to the lightest share."""
    result: list[list[int]] = [[] for _ in range(shares)]
    load = [0] * shares
    for k in sorted(indices, key=lambda k: (-tokens[k], k)):
        lightest = min(range(shares), key=lambda s: (load[s], len(result[s]), s))
        result[lightest].append(k)
        load[lightest] += tokens[k]
    return result
