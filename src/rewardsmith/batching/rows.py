"""Rows: tokenised responses as the tensors of one forward pass, padded or as prompt trees.

Both forms say where in the flattened hidden states each sequence ends, which states belong to it and which predict an
imitated token, so that pooling and losses need not know the form. It knows nothing of scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import torch

from rewardsmith.batching.tokenizing import TokenizedResponse

DEFAULT_TOKEN_BUDGET = 4096
"""Tokens in one forward pass: large enough for full matrix products, small enough for a laptop's memory."""

_SLACK = 16
"""Tokens of padding a row may have at any length before a new bucket begins."""

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
        from rewardsmith.batching.trees import tree_rows

        wanted = imitated if imitated is not None else [False] * len(sequences)
        if self.trees:
            return tree_rows(sequences, self.token_budget, wanted, self.imitation_on)
        return padded_rows(sequences, self.pad_id, self.token_budget, wanted, self.imitation_on)


def bucket(lengths: Sequence[int], token_budget: int) -> Iterator[list[int]]:
    """Groups indices of similar length so that rows x longest stays within the budget and little is padding.

    A sequence longer than the budget gets a group of its own.
    """
    order = sorted(range(len(lengths)), key=lambda k: (lengths[k], k))
    group: list[int] = []
    for k in order:
        if group and ((len(group) + 1) * lengths[k] > token_budget or lengths[k] > 1.25 * lengths[group[0]] + _SLACK):
            yield group
            group = []
        group.append(k)
    if group:
        yield group


def padded_rows(
    sequences: Sequence[TokenizedResponse],
    pad_id: int,
    token_budget: int,
    imitated: Sequence[bool],
    imitation_on: ImitationSpan,
) -> list[Rows]:
    """Rectangles padded on the right, like lengths together: for encoders, and the form trees must equal."""
    rows = []
    for group in bucket([len(s) for s in sequences], token_budget):
        width = max(len(sequences[k]) for k in group)
        ids = torch.full((len(group), width), pad_id)
        mask = torch.zeros((len(group), width), dtype=torch.long)
        places = []
        for row, k in enumerate(group):
            length = len(sequences[k])
            ids[row, :length] = torch.tensor(sequences[k].ids)
            mask[row, :length] = 1
            places.append(range(row * width, row * width + length))
        rows.append(assemble(ids, group, places, sequences, imitated, imitation_on, attention_mask=mask))
    return rows


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
