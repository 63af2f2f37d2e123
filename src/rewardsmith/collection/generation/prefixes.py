"""What prompts share at their beginnings, so that a system prompt is run once and not with every query.

Only what saves more than it costs counts: a shared beginning is run in a pass of its own, and a pass reads all weights.
It knows token ids alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

_LEAST_SAVED = 256
"""Tokens that a shared beginning must save in all: about what a pass costs beside its tokens."""


def shared_beginnings(prompts: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """For each prompt the lengths, ascending, at which others part from it; shorter than the prompt itself."""
    lengths: list[tuple[int, ...]] = [() for _ in prompts]
    order = sorted(range(len(prompts)), key=lambda k: prompts[k])
    groups = [(order, 0, 0)] if order else []
    while groups:
        members, depth, run = groups.pop()
        first, last = prompts[members[0]], prompts[members[-1]]
        shared = min(_common(first, last, depth), min(len(prompts[k]) for k in members) - 1)
        if (len(members) - 1) * (shared - run) >= _LEAST_SAVED:
            run = shared
            for k in members:
                lengths[k] = (*lengths[k], shared)
        branches = list(_branches(members, prompts, shared))
        if len(branches) > 1:
            groups += [(branch, shared, run) for branch in branches if len(branch) > 1]
    return lengths


def _branches(members: Sequence[int], prompts: Sequence[tuple[int, ...]], depth: int) -> Iterator[list[int]]:
    """Runs of sorted prompts, equal up to `depth`, that have the next token in common."""
    run: list[int] = []
    for k in members:
        if run and prompts[run[0]][depth] != prompts[k][depth]:
            yield run
            run = []
        run.append(k)
    yield run


def _common(a: tuple[int, ...], b: tuple[int, ...], start: int) -> int:
    """Length of the common beginning, known to be at least `start`."""
    end = min(len(a), len(b))
    return next((k for k in range(start, end) if a[k] != b[k]), end)
