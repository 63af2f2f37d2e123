"""Padded rows: for encoders, and the form that prompt trees must equal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from rewardsmith.batching.rows import ImitationSpan, Rows, assemble
from rewardsmith.batching.tokenizing import TokenizedResponse

_SLACK = 16
"""Tokens of padding a row may have at any length before a new bucket begins."""


def padded_rows(
    sequences: Sequence[TokenizedResponse],
    pad_id: int,
    token_budget: int,
    imitated: Sequence[bool],
    imitation_on: ImitationSpan,
) -> list[Rows]:
    """Rectangles padded on the right, like lengths together."""
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
