"""Rows: tokenised responses as the tensors of one forward pass.

Padded rows and prompt trees both say where in the flattened hidden states each sequence ends, which states belong to it
and which predict an imitated token, so that pooling and losses need not know the form. It knows nothing of scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import torch

from rewardsmith.batching.tokenizing import TokenizedResponse

ImitationSpan = Literal["response", "sequence"]


@dataclass(frozen=True)
class Node:
    """A run of tokens that some sequences share: its place in the packed row, and the nodes before it on its path."""

    start: int
    end: int
    path: tuple[int, ...]
    """Indices of its ancestors, the root first."""


@dataclass(frozen=True)
class Rows:
    """The n sequences of one forward pass.

    `input_ids` [B, T]; `attention_mask` [B, T] of padded rows, None for trees; `position_ids` [1, T] and `nodes` of
    trees, None for padded rows. `sequence` [n] is each sequence's place in the list that was given. Into the hidden
    states flattened to [B * T, H]: `last` [n] points at each sequence's final token, `member` [M] at all tokens of all
    sequences, `owner` [M] says whose each is (0 .. n-1). For imitation `lm_state` [m] points at the state that predicts
    the token `lm_target` [m] of sequence `lm_owner` [m].
    """

    input_ids: torch.Tensor
    sequence: torch.Tensor
    last: torch.Tensor
    member: torch.Tensor
    owner: torch.Tensor
    lm_state: torch.Tensor
    lm_target: torch.Tensor
    lm_owner: torch.Tensor
    attention_mask: torch.Tensor | None = None
    position_ids: torch.Tensor | None = None
    nodes: tuple[Node, ...] | None = None

    def to(self, device: torch.device | str) -> Rows:
        """The same rows on another device."""
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        moved: dict[str, Any] = {k: v.to(device) for k, v in values.items() if isinstance(v, torch.Tensor)}
        return replace(self, **moved)

    @property
    def tokens(self) -> int:
        """Tokens that the linear layers work on, padding included."""
        return self.input_ids.numel()


def assemble(
    input_ids: torch.Tensor,
    group: Sequence[int],
    places: Sequence[Sequence[int]],
    sequences: Sequence[TokenizedResponse],
    imitated: Sequence[bool],
    imitation_on: ImitationSpan,
    **form: torch.Tensor | tuple[Node, ...],
) -> Rows:
    """Rows of the sequences in `group`; `places` says for each where its tokens stand in the flattened states."""
    states: list[int] = []
    targets: list[int] = []
    owners: list[int] = []
    for n, k in enumerate(group):
        if imitated[k]:
            first = max(1, sequences[k].response_start if imitation_on == "response" else 1)
            states += places[n][first - 1 : len(places[n]) - 1]
            targets += sequences[k].ids[first:]
            owners += [n] * (len(places[n]) - first)
    return Rows(
        input_ids=input_ids,
        sequence=torch.tensor(group, dtype=torch.long),
        last=torch.tensor([place[-1] for place in places]),
        member=torch.tensor([index for place in places for index in place]),
        owner=torch.tensor([n for n, place in enumerate(places) for _ in place]),
        lm_state=torch.tensor(states, dtype=torch.long),
        lm_target=torch.tensor(targets, dtype=torch.long),
        lm_owner=torch.tensor(owners, dtype=torch.long),
        **form,  # type: ignore[arg-type]
    )
