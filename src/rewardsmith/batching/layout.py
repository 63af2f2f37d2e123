"""How sequences become rows: padded or as prompt trees, and how many tokens at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rewardsmith.batching.padding import padded_rows
from rewardsmith.batching.rows import ImitationSpan, Rows
from rewardsmith.batching.tokenizing import TokenizedResponse
from rewardsmith.batching.trees import tree_rows

DEFAULT_TOKEN_BUDGET = 4096
"""Tokens in one forward pass: large enough for full matrix products, small enough for a laptop's memory."""


@dataclass(frozen=True)
class Layout:
    """How sequences become rows.

    `trees` runs what sequences share once (decoders only); `imitation_on` says which tokens carry the imitation loss.
    """

    pad_id: int
    trees: bool
    token_budget: int = DEFAULT_TOKEN_BUDGET
    imitation_on: ImitationSpan = "response"

    def rows(self, sequences: Sequence[TokenizedResponse], imitated: Sequence[bool] | None = None) -> list[Rows]:
        """The rows of `sequences`; those that `imitated` marks carry next-token targets."""
        wanted = imitated if imitated is not None else [False] * len(sequences)
        if self.trees:
            return tree_rows(sequences, self.token_budget, wanted, self.imitation_on)
        return padded_rows(sequences, self.pad_id, self.token_budget, wanted, self.imitation_on)
