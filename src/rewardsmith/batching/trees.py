"""Prompt trees: what several sequences share at their beginning stands once in a packed row, nothing is padded.

The tree is found in the tokens, so what is shared is exactly equal, at any number of levels: a system prompt over many
dialogues, a dialogue over its continuations, a common opening of two responses. Positions of a node go on from its
parent's. How attention follows the paths is the business of `modeling/tree_attention.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from rewardsmith.batching.rows import ImitationSpan, Node, Rows, assemble
from rewardsmith.batching.tokenizing import TokenizedResponse

_SHORTEST = 8
"""Tokens that must be shared to make a node of their own: attention over a shorter one costs more than it saves."""


def tree_rows(
    sequences: Sequence[TokenizedResponse],
    token_budget: int,
    imitated: Sequence[bool],
    imitation_on: ImitationSpan,
) -> list[Rows]:
    """Packed rows of prompt trees, each of at most `token_budget` tokens (a longer sequence has one of its own)."""
    return [_row(group, sequences, imitated, imitation_on) for group in _groups(sequences, token_budget)]


def tree_size(sequences: Sequence[TokenizedResponse]) -> int:
    """Tokens of the tree of these sequences in one row (short shared beginnings, which are run again, apart)."""
    ids = sorted(s.ids for s in sequences)
    return sum(len(b) - _common(a, b) for a, b in zip([(), *ids], ids, strict=False))


def _groups(sequences: Sequence[TokenizedResponse], token_budget: int) -> Iterator[list[int]]:
    """Neighbours in the order of their tokens, so that shared beginnings meet, cut where the budget is full."""
    order = sorted(range(len(sequences)), key=lambda k: sequences[k].ids)
    group: list[int] = []
    size = 0
    for k in order:
        # A shared beginning may end in up to `_SHORTEST` - 1 tokens that are run again: they are counted.
        shared = _common(sequences[group[-1]].ids, sequences[k].ids) if group else 0
        new = len(sequences[k]) - max(0, shared - _SHORTEST + 1)
        if group and size + new > token_budget:
            yield group
            group, size, new = [], 0, len(sequences[k])
        group.append(k)
        size += new
    if group:
        yield group


def _row(
    group: list[int], sequences: Sequence[TokenizedResponse], imitated: Sequence[bool], imitation_on: ImitationSpan
) -> Rows:
    tokens: list[int] = []
    positions: list[int] = []
    nodes: list[Node] = []
    places: dict[int, list[int]] = {}

    def grow(members: list[int], depth: int, path: tuple[int, ...], place: list[int]) -> None:
        """Lays out what `members` (sorted, equal up to `depth`) share beyond `depth`, then their branches."""
        first, last = sequences[members[0]].ids, sequences[members[-1]].ids
        shared = _common(first, last)
        if shared > depth:
            start = len(tokens)
            tokens.extend(first[depth:shared])
            positions.extend(range(depth, shared))
            nodes.append(Node(start, len(tokens), path))
            path, place = (*path, len(nodes) - 1), place + list(range(start, len(tokens)))
        for branch in _branches(members, sequences, shared):
            if len(sequences[branch[0]].ids) == shared:
                places.update(dict.fromkeys(branch, place))
            else:
                grow(branch, shared, path, place)

    for root in _branches(group, sequences, 0):
        grow(root, 0, (), [])
    return assemble(
        torch.tensor([tokens]),
        group,
        [places[k] for k in group],
        sequences,
        imitated,
        imitation_on,
        position_ids=torch.tensor([positions]),
        nodes=tuple(nodes),
    )


def _branches(members: list[int], sequences: Sequence[TokenizedResponse], depth: int) -> Iterator[list[int]]:
    """Splits sorted sequences, equal up to `depth`, into runs that go on alike for a while; the ended ones come first.

    A run that shares fewer than `_SHORTEST` further tokens is split into its sequences: those tokens are run again.
    """
    run: list[int] = []
    for k in members:
        ids = sequences[k].ids
        if run:
            other = sequences[run[0]].ids
            ended = len(other) == depth
            joined = (len(ids) == depth) if ended else _common(other, ids) - depth >= _SHORTEST or other == ids
            if not joined:
                yield run
                run = []
        run.append(k)
    if run:
        yield run


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the common beginning."""
    n = min(len(a), len(b))
    if a[:n] == b[:n]:
        return n
    low, high = 0, n
    while low < high:  # tuples compare fast: a bisection beats a walk in Python
        middle = (low + high + 1) // 2
        if a[:middle] == b[:middle]:
            low = middle
        else:
            high = middle - 1
    return low
